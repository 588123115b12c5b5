"""Is what is committed in step? Notebooks clean, modules and README made from them, no module without a notebook, names
defined, rooms importing downwards only. Each check that fails says what to run."""
import ast, os, shutil, subprocess, sys, tempfile
from pathlib import Path

import book
from book import ROOT
from run import complaints

LAZY = {'transformers', 'diffusers', 'peft', 'accelerate', 'sklearn', 'vendi_score'}   # slow to import: inside functions only
ROOMS = {'core': 0, 'zoo': 1, 'diffusion': 2, 'language': 2, 'sae': 2, 'tour': 3, 'cli': 4}
ACROSS = {('language/mediators', 'sae/dictionaries'), ('language/audit', 'sae/dictionaries')}
LINES = 30   # of an exported cell

def name(path): return path.relative_to(ROOT).as_posix()

def clean():
    "notebooks are clean | make export, or for outputs: .venv/bin/python nbs/_dev/run.py NOTEBOOK"
    from execnb.nbio import nb2str, read_nb
    from nbdev.clean import clean_nb
    for f in book.notebooks(ROOT):
        text, nb = f.read_text(encoding='utf-8'), read_nb(f)
        yield from (f'{name(f)}: {o}' for o in complaints(nb, len(text.encode())))
        clean_nb(nb)
        if nb2str(nb) != text: yield f'{name(f)}: metadata or execution counts that nbdev_clean removes'

def exported(folder):
    "What the notebooks export now, as `{path: text}`, made in `folder` so that nothing here changes"
    for f in book.notebooks(ROOT):
        (to := folder/f.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True); shutil.copy(f, to)
    for f in ('settings.ini', 'setup.py', 'README.md'): shutil.copy(ROOT/f, folder)
    (folder/book.package(ROOT)).mkdir()
    env = {k: v for k, v in book.environment().items() if k != 'IN_TEST'}   # with it, nbdev exports nothing
    p = subprocess.run([sys.executable, '-c', 'from nbdev.doclinks import nbdev_export; nbdev_export()'],
                       cwd=folder, env=env | {'PYTHONPATH': str(folder)}, capture_output=True, text=True)
    if p.returncode: raise RuntimeError(f'nbdev_export: {p.stderr.strip()[-2000:]}')
    return modules(folder)

def modules(root):
    "The generated files of the package under `root`, as `{path: text}`"
    pkg = root/book.package(root)
    return {f.relative_to(root).as_posix(): f.read_text(encoding='utf-8') for f in sorted(pkg.rglob('*.py'))
            if 'data' not in f.relative_to(pkg).parts}

def in_step():
    "modules follow the notebooks, none is left over | make export; delete a module whose notebook is gone"
    with tempfile.TemporaryDirectory() as tmp: want = exported(Path(os.path.realpath(tmp)))
    have = modules(ROOT)
    for f in sorted(want.keys() | have.keys()):
        if f not in have: yield f'{f} is missing'
        elif f not in want: yield f'{f} comes from no notebook'
        elif want[f] != have[f]: yield f'{f} differs from its notebook'

def readme():
    "README.md follows nbs/index.ipynb | make export"
    from readme import differing
    for f in differing()[1]: yield f'{name(f)} differs from the notebook'

def names():
    "ruff finds nothing | .venv/bin/ruff check --config nbs/ruff.toml nbs interp_nb setup.py benchmarks"
    p = subprocess.run([sys.executable, '-m', 'ruff', 'check', '--config', 'nbs/ruff.toml', '--output-format', 'concise', '--quiet',
                        'nbs', 'interp_nb', 'setup.py', 'benchmarks'], cwd=ROOT, capture_output=True, text=True)
    if p.returncode: yield from (p.stdout+p.stderr).strip().splitlines()

def short():
    "exported cells are short | split the cell: a long one hides a second idea"
    for f in book.notebooks(ROOT):
        for i, c in enumerate(book.read(f)['cells']):
            lines = [l for l in c['source'].splitlines() if not l.startswith('#|')]
            if book.directives(c['source']).keys() & book.EXPORTS and len(lines) > LINES:
                yield f'{name(f)}, cell {i} ({lines[0][:40]} …): {len(lines)} lines; at most {LINES}'

def imports(tree):
    "`(module, line, at top level)` of every import in `tree`, relative ones with their dots"
    top = {id(n) for n in tree.body}
    for n in ast.walk(tree):
        if isinstance(n, ast.Import): found = [a.name for a in n.names]
        elif isinstance(n, ast.ImportFrom): found = ['.'*n.level + (n.module or '')]
        else: continue
        yield from ((m, n.lineno, id(n) in top) for m in found)

def walls():
    "imports run downwards (core < zoo < diffusion, language, sae < tour < cli), slow libraries are imported in functions | move the import"
    pkg = book.package(ROOT)
    for f in sorted((ROOT/pkg).rglob('*.py')):
        parts = f.relative_to(ROOT/pkg).with_suffix('').parts
        if parts[0] not in ROOMS: continue
        for module, line, top in imports(ast.parse(f.read_text(encoding='utf-8'))):
            dots = len(module) - len(module.lstrip('.'))
            full = [*parts[:len(parts)-dots], *module[dots:].split('.')] if dots else module.split('.')
            if not dots and full[0] in LAZY and top: yield f'{name(f)}:{line} imports {full[0]} at top level'
            if not dots: full = full[1:] if full[0] == pkg else []
            if not full or full[0] not in ROOMS or full[0] == parts[0]: continue
            if ROOMS[full[0]] >= ROOMS[parts[0]] and ('/'.join(parts[:2]), '/'.join(full[:2])) not in ACROSS:
                yield f'{name(f)}:{line} imports {".".join(full)}, which is not below {parts[0]}'

def main():
    checks, failed = (clean, in_step, readme, names, short, walls), 0
    for check in checks:
        what, todo = check.__doc__.split(' | ')
        try: found = list(check())
        except Exception as e: found = [f'{type(e).__name__}: {e}']
        failed += bool(found)
        print(f'FAIL {what}; run: {todo}' if found else f'ok   {what}', flush=True)
        for o in found[:40]: print(f'     {o}')
        if len(found) > 40: print(f'     … and {len(found)-40} more')
    print(f'{len(checks)-failed} passed, {failed} failed, 0 skipped')
    return bool(failed)

if __name__ == '__main__': sys.exit(main())
