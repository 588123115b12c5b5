"""Execute notebooks in place: fresh outputs for every cell that an ordinary computer can run, the old outputs of flagged cells
kept, nothing random left behind. A notebook with a failing cell is left as it was."""
import argparse, os, signal, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import book

LIMIT, IMAGE = 500, 100   # kB: a notebook, an image in it

def tidy(nb):
    "Drop what differs from run to run, or is there twice: widget states, standard error, memory addresses, execution counts"
    from nbdev.clean import clean_nb
    for c in nb.cells:
        if c.cell_type != 'code': continue
        c.outputs = [o for o in c.get('outputs', []) if o.get('name') != 'stderr']
        for data in (o.get('data', {}) for o in c.outputs):
            data.pop('application/vnd.jupyter.widget-view+json', None)
            if 'image/jpeg' in data and 'image/png' in data:   # pillow shows both: exact where it is small enough
                data.pop('image/jpeg' if len(data['image/png']) < IMAGE*1300 else 'image/png')
    nb.metadata.pop('widgets', None)
    clean_nb(nb)

def complaints(nb, size):
    "What of our rules for stored outputs `nb` breaks"
    if size > LIMIT*1000: yield f'{size/1e3:.0f} kB; at most {LIMIT}'
    for i, c in enumerate(nb.cells):
        for o in c.get('outputs', []):
            data = o.get('data', {})
            text = ''.join(o.get('text', '')) + ''.join(data.get('text/plain', ''))
            if str(Path.home()) + '/' in text or str(book.ROOT) in text: yield f'cell {i}: a path of this machine in its output'
            for k in data:
                if k.startswith('image/') and (kb := len(data[k])*.75e-3) > IMAGE: yield f'cell {i}: image of {kb:.0f} kB; at most {IMAGE}'

def execute(path):
    "Run the notebook at `path` and write it back"
    from execnb.nbio import nb2str, read_nb
    from execnb.shell import CaptureShell
    signal.signal(signal.SIGINT, signal.default_int_handler)   # shells start background jobs deaf to it
    raw = book.read(path)
    if book.skip_exec(raw): return print(f'{path.name}: skip_exec, left alone')
    nb = read_nb(path); os.chdir(path.parent); sys.path.insert(0, str(book.ROOT))
    shell = CaptureShell(path, mpl_format='png')
    for i, c in enumerate(nb.cells):
        if book.skipped(c): continue
        c.outputs = []
        shell.cell(c)
        if shell.exc: sys.exit(f'FAIL {path.relative_to(book.ROOT)}, cell {i} (left as it was)\n{c.source}\n{book.trace(shell.exc)}')
    tidy(nb)
    text = nb2str(nb)
    print(path.relative_to(book.ROOT), f'{len(text.encode())/1e3:.0f} kB')
    for o in complaints(nb, len(text.encode())): print('    '+o)
    if text != path.read_text(encoding='utf-8'):
        tmp = path.with_name(f'.{path.name}.tmp')
        tmp.write_text(text, encoding='utf-8'); tmp.replace(path)

def start(path):
    "Execute the notebook at `path` in a process of its own; whether it went well"
    with tempfile.TemporaryDirectory() as tmp:
        p = subprocess.run([sys.executable, '-s', __file__, '--worker', str(path)], env=book.environment() | {'IPYTHONDIR': tmp},
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(p.stdout, end='', flush=True)
    return p.returncode == 0

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('paths', nargs='*', type=lambda s: Path(s).resolve(), help='notebooks; all by default')
    p.add_argument('-j', type=int, default=2, help='notebooks at a time')
    p.add_argument('--worker', action='store_true', help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.worker: execute(a.paths[0])
    else:
        with ThreadPoolExecutor(a.j) as pool: sys.exit(not all(pool.map(start, a.paths or book.notebooks(book.ROOT))))
