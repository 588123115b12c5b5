"README.md, and the pictures it shows, from nbs/index.ipynb. `--check` fails when what is on disk differs."
import base64, hashlib, re, sys

import book

NOTE = '<!-- Written by nbs/_dev/readme.py from nbs/index.ipynb: edit the notebook. -->'
PICTURES = book.ROOT/'nbs'/'assets'
TYPES = {'image/png': 'png', 'image/jpeg': 'jpg', 'image/webp': 'webp'}

def picture(kind, data):
    "File name, by content, and bytes of a stored picture"
    raw = base64.b64decode(''.join(data))
    return PICTURES/f'readme-{hashlib.sha1(raw).hexdigest()[:8]}.{TYPES[kind]}', raw

def output(out):
    "Markdown of one stored output, and the picture file it needs, if any"
    data = out.get('data', {})
    for kind in TYPES:
        if kind not in data: continue
        f, raw = picture(kind, data[kind])
        return f'![]({f.relative_to(book.ROOT).as_posix()})', {f: raw}
    if 'text/markdown' in data: return ''.join(data['text/markdown']).strip(), {}
    text = ''.join(out.get('text') or data.get('text/plain') or '').rstrip()
    return '\n'.join('    '+l for l in text.splitlines()), {}

def links(text):
    "Links to chapters, written relative to `nbs/`, as seen from the README"
    return re.sub(r'\]\((?!\w+:|#|/|nbs/)([^)\s]+\.ipynb)', r'](nbs/\1', text)

def render(nb):
    "The README's text, and the files it needs"
    parts, files = [NOTE], {}
    for c in nb['cells']:
        ds = book.directives(c['source'])
        body = re.sub(r'^#\|.*\n?', '', c['source'], flags=re.M).strip()
        if c['cell_type'] == 'markdown': parts.append(links(body))
        if c['cell_type'] != 'code' or 'hide' in ds or not body: continue
        if ds.get('echo') != 'false': parts.append(f'```python\n{body}\n```')
        for o in c.get('outputs', []):
            text, more = output(o)
            parts.append(text); files |= more
    return '\n\n'.join(p for p in parts if p.strip())+'\n', files

def differing():
    "The files that the README consists of, and which on disk differ from that, are missing or left over"
    text, files = render(book.read(book.ROOT/'nbs'/'index.ipynb'))
    files[book.ROOT/'README.md'] = text.encode()
    stale = [f for f, raw in files.items() if not f.exists() or f.read_bytes() != raw]
    return files, stale + [f for f in PICTURES.glob('readme-*') if f not in files]

def main(check):
    files, stale = differing()
    if check and stale: sys.exit('differs: '+', '.join(f.relative_to(book.ROOT).as_posix() for f in stale))
    for f in stale:
        if f not in files: f.unlink(); continue
        f.parent.mkdir(exist_ok=True); f.write_bytes(files[f])
        print('wrote', f.relative_to(book.ROOT))

if __name__ == '__main__': main('--check' in sys.argv)
