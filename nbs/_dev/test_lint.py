"Tests of lint.py and readme.py, on small books made for the purpose. check.py runs and counts them."
import shutil, sys, tempfile
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import book, lint, readme
from test_check import cell, notebook

@contextmanager
def house(**files):
    "A small repository as lint.py sees it: our settings, `{path: text}` in the package"
    with tempfile.TemporaryDirectory() as tmp:
        root, old = Path(tmp).resolve(), lint.ROOT
        for f in ('settings.ini', 'setup.py'): shutil.copy(book.ROOT/f, root)
        (root/'README.md').touch()
        for path, text in files.items():
            (f := root/'interp_nb'/path.replace('__', '/')).parent.mkdir(parents=True, exist_ok=True)
            f.with_suffix('.py').write_text(text)
        lint.ROOT = root
        try: yield root
        finally: lint.ROOT = old

def test_walls():
    with house(core__hub='from ..zoo.doodles import sample', zoo__doodles='from interp_nb.core.hub import find',
               diffusion__a='import torch\ndef f(): import transformers', language__b='from ..diffusion.a import f',
               tour='from .diffusion.a import f', cli='from interp_nb import tour\nimport diffusers.models'):
        found = [o.split('/', 1)[1] for o in lint.walls()]
    assert found == ['cli.py:2 imports diffusers at top level',
                     'core/hub.py:1 imports zoo.doodles, which is not below core',
                     'language/b.py:1 imports diffusion.a, which is not below language'], found

def test_short():
    with house() as root:
        long = '\n'.join(f'x{i} = {i}' for i in range(31))
        notebook(root/'nbs'/'a.ipynb', '# A', '#| export\n'+long, long, '#| export\n'+long[:-8])
        found = list(lint.short())
    assert len(found) == 1 and 'cell 1' in found[0] and '31 lines' in found[0], found

def test_modules_in_step():
    with house() as root:
        notebook(root/'nbs'/'core'/'01_a.ipynb', '# A', '#| default_exp core.a', '#| export\nx = 1')
        with tempfile.TemporaryDirectory() as tmp: made = lint.exported(Path(tmp).resolve())
        assert {'interp_nb/__init__.py', 'interp_nb/_modidx.py', 'interp_nb/core/__init__.py', 'interp_nb/core/a.py'} == made.keys()
        for f, text in made.items(): (root/f).parent.mkdir(parents=True, exist_ok=True); (root/f).write_text(text)
        assert list(lint.in_step()) == []
        a, b = root/'interp_nb'/'core'/'a.py', root/'interp_nb'/'core'/'b.py'
        a.write_text(a.read_text()+'y = 2\n'); b.touch(); (root/'interp_nb'/'_modidx.py').unlink()
        assert list(lint.in_step()) == ['interp_nb/_modidx.py is missing', 'interp_nb/core/a.py differs from its notebook',
                                        'interp_nb/core/b.py comes from no notebook'], list(lint.in_step())

def test_clean():
    with house() as root:
        notebook(root/'nbs'/'a.ipynb', '# A', 'x = 1')
        for f in book.notebooks(root):
            from execnb.nbio import nb2str, read_nb
            f.write_text(nb2str(read_nb(f)))
        assert list(lint.clean()) == []
        f.write_text(f.read_text().replace('"execution_count": null', '"execution_count": 3'))
        assert 'execution counts' in list(lint.clean())[0]

def test_readme():
    nb = dict(cells=[cell('# T\n[a](core/01_hub.ipynb) [b](https://x/y.ipynb)', 'markdown'), cell('#| hide\n1'), cell('2'),
                     cell('#| echo: false\n3')])
    nb['cells'][2]['outputs'] = [dict(data={'text/plain': ['2']})]
    nb['cells'][3]['outputs'] = [dict(data={'image/jpeg': 'aG8=', 'image/png': 'aGk='})]
    text, files = readme.render(nb)
    assert '[a](nbs/core/01_hub.ipynb) [b](https://x/y.ipynb)' in text
    assert '```python\n2\n```\n\n    2\n' in text and '3\n```' not in text
    assert list(files.values()) == [b'hi'] and f'![](nbs/assets/{next(iter(files)).name})' in text
