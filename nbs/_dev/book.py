"What the scripts beside this one need to know about our notebooks: where they are, what a cell is for."
import ast, json, os, re
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLAGS = {'slow', 'cuda', 'net'}
EXPORTS = {'export', 'exports', 'exporti'}


def package(root):
    "Name of the package that the notebooks under `root` build"
    ini = ConfigParser(delimiters=['='])
    ini.read(Path(root)/'settings.ini', encoding='utf-8')
    return ini['DEFAULT'].get('lib_path', 'interp_nb') if ini.defaults() else 'interp_nb'

def notebooks(root):
    "The notebooks of `root`, in reading order; folders and files that start with `_` or `.` are not ours"
    nbs = Path(root)/'nbs'
    found = (f for f in nbs.rglob('*.ipynb') if not any(o[0] in '._' for o in f.relative_to(nbs).parts))
    return sorted(found, key=lambda f: f.relative_to(nbs).parts)

def read(path):
    "The notebook at `path` as a dict, cell sources joined"
    nb = json.loads(Path(path).read_text(encoding='utf-8'))
    for c in nb['cells']: c['source'] = ''.join(c['source'])
    return nb

def directives(src):
    "`{'export': '', 'default_exp': 'core.hub', …}` from the `#|` lines of `src`"
    lines = re.findall(r'^#\|\s*([\w-]+)[: ]*(.*?)\s*$', src, re.M)
    return {k: v for k, v in lines}

def skip_exec(nb):
    "Whether the front matter (a raw cell, or the list below the title) says `skip_exec: true`"
    fronts = [c['source'] for c in nb['cells'][:2]
              if c['cell_type'] == 'raw' or c['cell_type'] == 'markdown' and c['source'].startswith('# ')]
    return any(re.search(r'^(- )?skip_exec:\s*true\s*$', f, re.M) for f in fronts)

def skipped(cell, flags=()):
    "Why `cell` is not executed: 'no code', 'eval: false', the missing flag; `None` when it is"
    ds = directives(cell['source'])
    if cell['cell_type'] != 'code' or not cell['source'].strip(): return 'no code'
    if ds.get('eval') == 'false' or 'nbdev_export(' in cell['source']: return 'eval: false'
    missing = sorted((ds.keys() & FLAGS) - set(flags))
    return missing[0] if missing else None


def parsed(src):
    "Syntax tree of a cell, magics and all, or an empty one"
    from IPython.core.inputtransformer2 import TransformerManager
    try: return ast.parse(TransformerManager().transform_cell(src))
    except SyntaxError: return ast.Module([], [])

def _executed(node):
    "`node` and the nodes below it that run with the cell: bodies of functions and classes do not count"
    yield node
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)): return
    for child in ast.iter_child_nodes(node): yield from _executed(child)

def is_check(src):
    "Whether a cell tests something: asserts, calls `assert_…` or `test_…`, or expects an exception"
    def checks(n):
        if isinstance(n, ast.Assert): return True
        if isinstance(n, ast.Raise): return n.exc is not None and 'AssertionError' in ast.unparse(n.exc)
        if not isinstance(n, ast.Call): return False
        name = ast.unparse(n.func).rsplit('.', 1)[-1]
        return name.startswith(('assert', 'test_')) or name in {'expect_fail', 'ExceptionExpected', 'raises'}
    return any(checks(n) for n in _executed(parsed(src)))

def _targets(node):
    if isinstance(node, ast.Name): yield node.id
    if isinstance(node, (ast.Tuple, ast.List)):
        for o in node.elts: yield from _targets(o)
    if isinstance(node, ast.Starred): yield from _targets(node.value)

def bound(src):
    "Names that a cell defines at its top level: functions, classes, assignments and imports; not `@patch`ed methods"
    for n in parsed(src).body:
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if not any('patch' in ast.unparse(d) for d in n.decorator_list): yield n.name
        elif isinstance(n, ast.Assign):
            for t in n.targets: yield from _targets(t)
        elif isinstance(n, (ast.AnnAssign, ast.AugAssign)): yield from _targets(n.target)
        elif isinstance(n, (ast.Import, ast.ImportFrom)):
            yield from (a.asname or a.name.split('.')[0] for a in n.names if a.name != '*')


def environment(flags=(), threads=1):
    "Environment in which notebooks run: nothing of the user's, nothing from the network, a fixed number of threads"
    env = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'PYTHONSTARTUP', 'DISPLAY')}
    env.update(PYTHONNOUSERSITE='1', MPLBACKEND='Agg', IN_TEST='1', TOKENIZERS_PARALLELISM='false', PYTHONHASHSEED='0',
               PYTHONUNBUFFERED='1', PYTHONFAULTHANDLER='1', OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    if 'net' not in flags: env.update(HF_HUB_OFFLINE='1', HF_DATASETS_OFFLINE='1')
    return env

def trace(exc):
    "Traceback of `exc` from the cell on, without the frames of the machinery that ran it"
    import traceback
    te = traceback.TracebackException.from_exception(exc)
    own = [i for i, f in enumerate(te.stack) if 'interactiveshell' in f.filename]
    if own: te.stack = traceback.StackSummary.from_list(list(te.stack)[own[-1]+1:])
    return ''.join(te.format()).rstrip()
