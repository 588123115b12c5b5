"Tests of check.py, on small books made for the purpose. check.py runs and counts them."
import json, os, re, subprocess, sys, tempfile, time
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import book

def cell(source, kind='code'): return dict(cell_type=kind, id='c'+str(len(source)), metadata={}, source=source,
                                           **(dict(outputs=[], execution_count=None) if kind == 'code' else {}))

def notebook(path, *cells):
    "A notebook of code cells; a cell that starts with `# Title` is markdown"
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [cell(c, 'markdown' if c.startswith('# ') else 'code') for c in cells]
    path.write_text(json.dumps(dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5)))

BOOK = {
    'good': ['# Good', '#| default_exp good', '#| export\ndef f(x): return x+1', 'assert f(1)==2', 'f(2)', '#| slow\nassert f(1)==3', 'assert f(2)==3'],
    'bad': ['# Bad', '#| default_exp bad', '#| export\ndef f(x): return x+1', 'assert f(1)==2', 'y = 7\nassert f(1)==y', 'assert f(2)==3'],
    'asleep': ['# Asleep\n\n> does not run\n\n- skip_exec: true', 'assert False', 'assert True'],
    'leaky': ['# Leaky', '#| default_exp leaky', 'import math', '#| export\ndef f(x): return math.sqrt(x)', 'assert f(4)==2'],
    'stale': ['# Stale', '#| default_exp stale', '#| export\ndef f(): return 1\ndef g(): return 2', 'assert f()==1'],
    'dies': ['# Dies', 'import os', 'assert True', 'os.kill(os.getpid(), 11)'],
    'hangs': ['# Hangs', 'import time', 'time.sleep(1000)'],
    'quits': ['# Quits', 'import os', 'os._exit(0)'],
}
MODULES = {'good': 'def f(x): return x+1', 'bad': 'def f(x): return x+1', 'leaky': 'def f(x): return math.sqrt(x)', 'stale': 'def f(): return 1'}

@cache
def result(which, *args):
    "Exit code and output of check.py on the chapters `which` of the book"
    with tempfile.TemporaryDirectory() as tmp:
        root = Path(tmp); (root/'toy').mkdir(); (root/'toy'/'__init__.py').touch()
        (root/'settings.ini').write_text('[DEFAULT]\nlib_path = toy\n')
        for k in which.split():
            notebook(root/'nbs'/f'{k}.ipynb', *BOOK[k])
            if k in MODULES: (root/'toy'/f'{k}.py').write_text(MODULES[k]+'\n')
        p = subprocess.run([sys.executable, str(HERE/'check.py'), '--root', str(root), *args], capture_output=True, text=True)
    return p.returncode, p.stdout

def last(out): return out.strip().splitlines()[-1]

def test_passing():
    code, out = result('good', '--both')
    assert code == 0 and last(out) == '2 passed, 0 failed, 1 skipped', out
    assert re.search(r'ok +nbs/good.ipynb --module +2 passed, 1 slow', out), out

def test_flag_runs_the_cell():
    code, out = result('good', '--flags', 'slow')
    assert code == 1 and last(out) == '1 passed, 1 failed, 1 skipped', out   # the check behind the failing one did not run

def test_failing_cell_is_shown():
    code, out = result('bad')
    assert code == 1 and last(out) == '1 passed, 1 failed, 1 skipped', out
    assert 'nbs/bad.ipynb, cell 4' in out and 'assert f(1)==y' in out and 'AssertionError' in out, out
    assert 'interactiveshell' not in out, out

def test_skip_exec_is_said_and_not_counted_as_passed():
    code, out = result('asleep')
    assert code == 0 and last(out) == '0 passed, 0 failed, 2 skipped' and 'skip_exec' in out, out

def test_missing_import_passes_in_the_notebook_and_fails_in_the_module():
    code, out = result('leaky')
    assert code == 0 and last(out) == '1 passed, 0 failed, 0 skipped', out
    code, out = result('leaky', '--both')
    assert code == 1 and last(out) == '0 passed, 1 failed, 0 skipped' and "NameError: name 'math'" in out, out

def test_name_that_was_not_built():
    code, out = result('stale', '--module')
    assert code == 1 and 'toy.stale has no g' in out and last(out) == '0 passed, 1 failed, 1 skipped', out

def test_process_that_dies_is_named():
    code, out = result('dies quits')
    assert code == 1 and last(out) == '1 passed, 2 failed, 0 skipped', out
    assert 'nbs/dies.ipynb, cell 3' in out and 'SIGSEGV' in out and 'left before the end' in out, out

def test_notebook_that_hangs_is_stopped():
    code, out = result('hangs', '--timeout', '6')
    assert code == 1 and '--- nbs/hangs.ipynb, ' in out and 'more than 6 s' in out, out

def test_ending_it_ends_the_notebooks():
    with tempfile.TemporaryDirectory() as tmp:
        mark = Path(tmp)/'pid'
        notebook(Path(tmp)/'nbs'/'long.ipynb', f'import os, time; open({str(mark)!r}, "w").write(str(os.getpid()))', 'time.sleep(1000)')
        p = subprocess.Popen([sys.executable, str(HERE/'check.py'), '--root', tmp], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while not (mark.exists() and mark.read_text()): time.sleep(.1); assert p.poll() is None
        p.terminate(); assert p.wait(20)
        p.stdout.close()
        try: os.kill(int(mark.read_text()), 0)
        except ProcessLookupError: return
    raise AssertionError('the notebook runs on')

def test_interrupts_work_in_a_background_job():
    with tempfile.TemporaryDirectory() as tmp:
        notebook(Path(tmp)/'nbs'/'a.ipynb', 'import signal\ntry: signal.raise_signal(signal.SIGINT)\nexcept KeyboardInterrupt: pass\nelse: assert False')
        cmd = ['sh', '-c', 'trap "" INT; exec "$@"', 'sh', sys.executable, str(HERE/'check.py'), '--root', tmp]
        p = subprocess.run(cmd, capture_output=True, text=True)
    assert last(p.stdout) == '1 passed, 0 failed, 0 skipped', p.stdout

def test_no_such_file():
    p = subprocess.run([sys.executable, str(HERE/'check.py'), 'nbs/none.ipynb'], capture_output=True, text=True)
    assert p.returncode == 1 and 'there is no file' in p.stderr

def test_what_a_check_is():
    yes = ['assert x', 'assert_close(a, b)', 'torch.testing.assert_close(a, b)', 'for i in y: test_eq(i, 1)',
           'with expect_fail(ValueError): f()', 'try: f()\nexcept E: pass\nelse: raise AssertionError']
    no = ['x = 1', 'def f():\n    assert 1', 'class A:\n    def f(self): test_eq(1, 1)', 'contest_x()', '"assert"', '# assert x']
    assert all(map(book.is_check, yes)) and not any(map(book.is_check, no))

def test_what_a_cell_defines():
    src = 'import a.b, c as d\nfrom e import f, g as h\n@patch\ndef m(self:K): pass\ndef n(): o = 1\nclass P: q = 2\nr, (s, *t) = 1, (2, 3)\nu:int = 1'
    assert list(book.bound(src)) == 'a d f h n P r s t u'.split()
