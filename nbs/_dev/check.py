"""Run the tests of the notebooks and say how many passed.

One test is one code cell that checks something. Each notebook runs in a process of its own. `--module` replaces exported
cells by what the built module defines, so that the package is what gets tested; `--both` runs the two, and a test has passed
when it passed in both. The scripts `nbs/_dev/test_*.py` test these scripts themselves: each function `test_…` is one test."""
import argparse, json, os, resource, signal, subprocess, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import book

# --- in the process of one notebook ---------------------------------------------------------------------------------

def from_module(shell, src, mod, root):
    "Give `shell` the names that exported cell `src` defines, as the built module `mod` has them"
    import importlib
    m = importlib.import_module(mod)
    if not Path(m.__file__).resolve().is_relative_to(root):
        raise ImportError(f'{mod} comes from {m.__file__}, not from {root}: run with its own environment')
    missing = [n for n in book.bound(src) if not hasattr(m, n)]
    if missing: raise ImportError(f'{mod} has no {", ".join(missing)}, which this cell exports: run nbdev_export')
    shell.user_ns.update((n, getattr(m, n)) for n in book.bound(src))

def run_cells(path, root, flags, module, say):
    "Run the notebook at `path` cell by cell until one fails; `say(kind, cell=i, …)` reports each step"
    from execnb.shell import CaptureShell
    nb, pkg, mod = book.read(path), book.package(root), None
    os.chdir(path.parent); sys.path.insert(0, str(root))
    shell = CaptureShell(path, mpl_format='png')
    for i, c in enumerate(nb['cells']):
        ds, why = book.directives(c['source']), book.skipped(c, flags)
        if 'default_exp' in ds: mod = ds['default_exp']
        if why: continue
        say('start', cell=i)
        exported = ds.keys() & book.EXPORTS
        if module and exported:
            try: from_module(shell, c['source'], f"{pkg}.{ds[min(exported)] or mod}", root); exc = None
            except Exception as e: exc = e
        else: shell.run(c['source']); exc = shell.exc
        if exc is not None: return say('fail', cell=i, trace=book.trace(exc))
        say('pass', cell=i)
    say('end')

def run_script(path, say):
    "Run every function `test_…` of the script at `path`"
    import runpy
    ns = runpy.run_path(str(path))
    for name, f in ns.items():
        if not (name.startswith('test_') and callable(f)): continue
        say('start', cell=name)
        try: f(); say('pass', cell=name)
        except Exception as e: say('fail', cell=name, trace=book.trace(e))
    say('end')

def worker(path, root, log, flags, module, cov):
    "Run one job and write what happens to `log`, a line of JSON each, so that a crash leaves its place behind"
    def say(kind, **kw):
        with open(log, 'a', encoding='utf-8') as f: f.write(json.dumps(dict(kind=kind, **kw))+'\n')
    signal.signal(signal.SIGINT, signal.default_int_handler)   # shells start background jobs deaf to it
    if cov:
        import coverage
        c = coverage.Coverage(data_file=str(root/'.coverage'), data_suffix=True, source=[book.package(root)], branch=True)
        c.start()
    if path.suffix == '.py': run_script(path, say)
    else: run_cells(path, root, flags, module, say)
    if cov: c.stop(); c.save()

# --- in the process that collects them ------------------------------------------------------------------------------

RUNNING = set()   # processes that must not outlive us

class Job:
    "One notebook (or script) in one mode, and what became of its cells"
    def __init__(self, path, root, module=False):
        self.path, self.root, self.module = path, root, module
        self.name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        self.key = self.name + (' --module' if module else '')
        self.fate, self.errors, self.note, self.seconds = {}, [], '', 0.  # fate: cell -> 'pass', 'fail', a flag, 'not run'

    def plan(self, flags):
        "Settle what is known before running; whether there is something to run"
        if self.path.suffix == '.py': return True
        try: nb = book.read(self.path); self.cells = nb['cells']
        except (ValueError, KeyError, TypeError) as e: return self.fail('notebook', f'{self.name} is not a notebook: {e}')
        codes = [(i, c['source'], book.skipped(c, flags)) for i, c in enumerate(self.cells)]
        checks = {i for i, src, why in codes if why not in ('no code', 'eval: false') and book.is_check(src)}
        if book.skip_exec(nb):
            self.fate, self.note = {i: 'skip_exec' for i in checks} or {'notebook': 'skip_exec'}, 'skip_exec: nothing was run'
            return False
        self.fate = {i: why if why in book.FLAGS else 'not run' for i, _, why in codes if i in checks or why in book.FLAGS}
        return True

    def fail(self, cell, error):
        self.fate[cell] = 'fail'; self.errors.append((cell, error))
        return False

    def run(self, args):
        "Run in a process of its own and read what it reported"
        t = time.time()
        if not self.plan(args.flags): return self
        with tempfile.TemporaryDirectory() as tmp:
            log = Path(tmp)/'log'; log.touch()
            cmd = [sys.executable, '-s', __file__, '--worker', str(log), '--root', str(self.root), '--flags', ' '.join(args.flags)]
            cmd += ['--module']*self.module + ['--cov']*args.cov + [str(self.path)]
            env = book.environment(args.flags, max(1, (os.cpu_count() or 2)//args.j)) | {'IPYTHONDIR': tmp}
            with open(Path(tmp)/'out', 'w+', errors='replace') as out:
                p = subprocess.Popen(cmd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
                RUNNING.add(p)
                try: p.wait(args.timeout); died = p.returncode and f'its process ended with {ending(p.returncode)}'
                except subprocess.TimeoutExpired: died = f'it ran for more than {args.timeout:.0f} s'
                finally: stop(p); RUNNING.discard(p)
                out.seek(0); self.read(log, died, out.read())
        self.seconds = time.time()-t
        return self

    def read(self, log, died, output):
        "Take over what the worker wrote into `log`; without its end mark it failed where it was"
        at, ended = 'start-up', False
        for event in map(json.loads, log.read_text(encoding='utf-8').splitlines()):
            kind, cell = event['kind'], event.get('cell', 'end')
            at = cell
            if kind == 'fail': self.fail(cell, event['trace'])
            if kind == 'pass' and (cell in self.fate or isinstance(cell, str)): self.fate[cell] = 'pass'
            ended |= kind == 'end' or kind == 'fail' and not isinstance(cell, str)
        if died or not ended:
            tail = '\n'.join(output.strip().splitlines()[-25:])
            self.fail(at, f'{died or "its process left before the end"}' + (f'\n{tail}' if tail else ''))

    def line(self):
        "What happened, in one line"
        n = list(self.fate.values()).count
        mark = 'FAIL' if self.errors else 'skip' if self.note else 'ok  '
        why = set(self.fate.values()) - {'pass', 'fail'}
        parts = [f"{n('pass'):4d} passed"]
        parts += [f'{n(w)} {w}' for w in sorted(why) if w != 'skip_exec']
        return f"{mark} {self.key:<50} {', '.join(parts)}  {self.seconds:.1f}s" + (f'  ({self.note})' if self.note else '')

    def details(self):
        "The failing cells: where they are, their source and traceback"
        return '\n'.join(self.detail(*e) for e in self.errors)

    def detail(self, cell, error):
        if not isinstance(cell, int): return f'\n--- {self.key}, {cell}\n{error}\n'
        src = self.cells[cell]['source'].rstrip().replace('\n', '\n    ')
        return f"\n--- {self.key}, cell {cell} (id {self.cells[cell].get('id')})\n    {src}\n{error}\n"

def ending(code): return f'signal {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'

def stop(p):
    "End `p` and whatever it started"
    try: os.killpg(p.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError): pass
    p.wait()

def expected(job, known):
    "Guess of a job's seconds: what it took last time, else by its amount of code"
    return known.get(job.key, job.path.stat().st_size/1e3 if job.path.suffix == '.py' else
                     sum(len(c['source']) for c in book.read(job.path)['cells'] if c['cell_type'] == 'code')/1e3)

def jobs(args, root):
    "What to run: notebooks in the modes asked for, then the tests of the scripts"
    paths = [Path(p).resolve() for p in args.paths] or book.notebooks(root) + sorted((root/'nbs'/'_dev').glob('test_*.py'))
    for p in paths:
        if not p.is_file(): sys.exit(f'check.py: there is no file {p}')
        exports = p.suffix == '.ipynb' and '#| export' in p.read_text(encoding='utf-8')
        if not (args.module and exports): yield Job(p, root)
        if exports and (args.module or args.both): yield Job(p, root, module=True)

def tally(done):
    "`(passed, failed, skipped)` over notebooks: a cell that ran in two modes passed when it did in both"
    fates = {}
    for job in done:
        for cell, fate in job.fate.items(): fates.setdefault((job.name, cell), []).append(fate)
    passed = sum(all(f == 'pass' for f in fs) for fs in fates.values())
    failed = sum('fail' in fs for fs in fates.values())
    return passed, failed, len(fates)-passed-failed

def run_all(todo, args):
    "Run the jobs `todo`, `args.j` at a time; yield and show each when it is done. Whoever ends us ends them"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('check.py: told to stop'))
    pool = ThreadPoolExecutor(args.j)
    try:
        for future in as_completed([pool.submit(j.run, args) for j in todo]):
            job = future.result()
            print(job.line(), flush=True)
            if job.errors: print(job.details(), flush=True)
            yield job
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for p in list(RUNNING): stop(p)

def main(args):
    root, t = args.root.resolve(), time.time()
    times = root/'.check-times.json'
    try: known = json.loads(times.read_text())
    except (OSError, ValueError): known = {}
    todo = sorted(jobs(args, root), key=lambda j: -expected(j, known))
    if not todo: sys.exit(f'check.py: no notebooks under {root/"nbs"}')
    done = list(run_all(todo, args))
    try: times.write_text(json.dumps(known | {j.key: round(j.seconds, 1) for j in done}, indent=1, sort_keys=True))
    except OSError: pass
    if args.cov:
        for a in (['combine', '-q'], ['report', '--skip-covered', '--skip-empty']):
            subprocess.run([sys.executable, '-m', 'coverage', *a], cwd=root)
    passed, failed, skipped = tally(done)
    bad = [j.key for j in done if j.errors]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f'\n{len(done)} runs in {time.time()-t:.0f} s, {used.ru_utime+used.ru_stime:.0f} s of processor time' + (f'; failed: {", ".join(sorted(bad))}' if bad else ''))
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    return bool(failed)

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('paths', nargs='*', help='notebooks; all by default')
    p.add_argument('--module', action='store_true', help='test the built modules')
    p.add_argument('--both', action='store_true', help='test the cells, then the built modules')
    p.add_argument('--flags', default='', type=lambda s: s.split(), help='also run cells with these flags, e.g. "slow net"')
    p.add_argument('--timeout', type=float, default=600, help='seconds that one notebook may take')
    p.add_argument('--cov', action='store_true', help='report which lines of the package ran')
    p.add_argument('-j', type=int, default=2, help='notebooks at a time')
    p.add_argument('--root', type=Path, default=book.ROOT, help=argparse.SUPPRESS)
    p.add_argument('--worker', type=Path, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.worker: worker(Path(a.paths[0]), a.root, a.worker, a.flags, a.module, a.cov)
    else: sys.exit(main(a))
