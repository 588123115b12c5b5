"""Golden files for dictionaries: what three libraries save and compute, and whether they open what we save.

    python nbs/results/sae/make_golden.py [folder]

Needs dictionary-learning, sae-lens and eai-sparsify beside interp-nb; sae-lens 6.54 imports transformer-lens
below 4, dictionary-learning nnsight.

Writes golden/LIBRARY-CLASS/: the library's own folder of a tiny random dictionary, with `io.safetensors`:
inputs, its features and its reconstructions. Writes peers.json: versions, and for each kind and format the
largest difference between our outputs and those of the library that opened our folder."""
import importlib.metadata, json, shutil, sys, tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

D, N, K = 6, 16, 3
GROUPS = [4, 12]
X = torch.randn(8, D, generator=torch.Generator().manual_seed(1))

def fill(module, seed):
    "Random numbers of no special form into every floating tensor, positive ones into thresholds"
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for k, v in module.state_dict().items():
            if not v.is_floating_point(): continue
            r = torch.randn(v.shape, generator=g)*(.4 if v.ndim > 1 else .2)
            v.copy_(r.abs() + .1 if 'threshold' in k else r)
    return module

def keep(to, features, out, **more):
    f, y = features(X), out(X)
    kept = dict(x=X, f=f, y=y, **more)
    save_file({k: v.detach().contiguous() for k, v in kept.items()}, to/'io.safetensors')

def dl_classes():
    from dictionary_learning import dictionary as dl
    from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
    from dictionary_learning.trainers.top_k import AutoEncoderTopK
    plain = dl.AutoEncoder, dl.AutoEncoderNew, dl.GatedAutoEncoder, dl.JumpReluAutoEncoder
    return [c(D, N) for c in plain] + [c(D, N, K) for c in (AutoEncoderTopK, BatchTopKSAE)] + [
        MatryoshkaBatchTopKSAE(D, N, K, GROUPS)]

def make_dl(to):
    for i, ae in enumerate(dl_classes()):
        name = type(ae).__name__
        fill(ae, i); folder = to/f'dl-{name}'
        folder.mkdir(parents=True)
        torch.save(ae.state_dict(), folder/'ae.pt')
        trainer = dict(dict_class=name, activation_dim=D, dict_size=N, lr=3e-4, layer=3, lm_name='tiny',
                       submodule_name='resid_post_layer_3', steps=10, seed=0, device='cpu')
        if hasattr(ae, 'k'): trainer['k'] = K
        config = dict(trainer=trainer, buffer=dict(d_submodule=D, io='out', ctx_len=8))
        (folder/'config.json').write_text(json.dumps(config, indent=1))
        more = {}
        if name == 'AutoEncoder':   # as its own loader gives it, which rescales directions
            unit = type(ae).from_pretrained(folder/'ae.pt')
            more = dict(f_unit=unit.encode(X), y_unit=unit(X))
        if name == 'AutoEncoderTopK': more = dict(f_threshold=ae.encode(X, use_threshold=True))
        if 'BatchTopK' in name: more = dict(f_batch=ae.encode(X, use_threshold=False))
        keep(folder, ae.encode, ae, **more)

def make_saelens(to):
    import sae_lens as S
    from sae_lens.saes.sae import SAEMetadata
    about = dict(d_in=D, d_sae=N)
    about['metadata'] = SAEMetadata(model_name='tiny', hook_name='blocks.3.hook_resid_post')
    inference = {'standard': (S.StandardSAE, S.StandardSAEConfig(**about)),
        'standard-uncentred': (S.StandardSAE, S.StandardSAEConfig(**about, apply_b_dec_to_input=False)),
        'gated': (S.GatedSAE, S.GatedSAEConfig(**about)), 'topk': (S.TopKSAE, S.TopKSAEConfig(**about, k=K)),
        'topk-rescaled': (S.TopKSAE, S.TopKSAEConfig(**about, k=K, rescale_acts_by_decoder_norm=True)),
        'jumprelu': (S.JumpReLUSAE, S.JumpReLUSAEConfig(**about)),
        'jumprelu-uncentred': (S.JumpReLUSAE, S.JumpReLUSAEConfig(**about, apply_b_dec_to_input=False))}
    for i, (name, (cls, cfg)) in enumerate(inference.items()):
        sae, folder = fill(cls(cfg), 10+i), to/f'saelens-{name}'
        sae.save_model(folder); keep(folder, sae.encode, sae)
    training = {'batchtopk': (S.BatchTopKTrainingSAE, S.BatchTopKTrainingSAEConfig(**about, k=K)),
        'matryoshka': (S.MatryoshkaBatchTopKTrainingSAE,
            S.MatryoshkaBatchTopKTrainingSAEConfig(**about, k=K, matryoshka_widths=[4, 16]))}
    for i, (name, (cls, cfg)) in enumerate(training.items()):
        folder = to/f'saelens-{name}'
        fill(cls(cfg), 20+i).save_inference_model(folder)
        sae = S.SAE.load_from_disk(folder); keep(folder, sae.encode, sae)

def dense(top): return torch.zeros(len(X), N).scatter(-1, top.top_indices, top.top_acts)

def make_sparsify(to):
    from sparsify import SparseCoder, SparseCoderConfig
    sae, folder = fill(SparseCoder(D, SparseCoderConfig(num_latents=N, k=K)), 30), to/'sparsify-topk'
    sae.save_to_disk(folder); keep(folder, lambda x: dense(sae.encode(x)), lambda x: sae(x).sae_out)

def ours():
    "One dictionary of every kind and convention"
    from interp_nb.sae.dictionaries import KINDS
    g = torch.Generator().manual_seed(40)
    for kind, cls in KINDS.items():
        for center in (True, False):
            shapes = dict(W_enc=(D, N), W_dec=(N, D), b_dec=(D,))
            t = {k: torch.randn(shapes.get(k, (N,)), generator=g)*.4 for k in cls.tensors}
            if kind == 'jumprelu': t['threshold'] = t['threshold'].abs()
            if kind in ('batch_topk', 'matryoshka'): t['threshold'] = torch.full((N,), .3)
            facts = dict(k=dict(k=K), threshold=dict(threshold=.7), group_sizes=dict(group_sizes=GROUPS))
            for k in cls.facts: t |= facts[k]
            yield cls(**t, center=center, info=dict(model='tiny', site=dict(kind='resid_post', layer=3)))

def opened(folder, format):
    "Features and reconstructions of `X` by the library whose folder it is"
    if format in ('ours', 'saelens'):
        from sae_lens import SAE
        sae = SAE.load_from_disk(folder); return sae.encode(X), sae(X)
    if format == 'dictionary_learning':
        from dictionary_learning.utils import load_dictionary
        ae, config = load_dictionary(str(folder), 'cpu')
        f = ae.encode(X)
        if type(ae).__name__ == 'AutoEncoder':   # rescaled on loading
            f = f/torch.load(folder/'ae.pt')['decoder.weight'].norm(dim=0)
        return f, ae(X)
    from sparsify import SparseCoder
    sae = SparseCoder.load_from_disk(folder); return dense(sae.encode(X)), sae(X).sae_out

def check():
    "Rows of: kind, center, format, largest difference of features and of reconstructions"
    with tempfile.TemporaryDirectory() as tmp:
        for sae in ours():
            for format in ('ours', 'saelens', 'dictionary_learning', 'sparsify'):
                if format == 'sparsify' and sae.kind != 'topk': continue
                f, y = opened(sae.save(Path(tmp)/'sae', format), format)
                yield dict(kind=sae.kind, center=sae.center, format=format, largest=float(y.abs().max()),
                           features=float((f-sae.encode(X)).abs().max()),
                           reconstruction=float((y-sae(X)).abs().max()))

def unpickle(file):
    "Keep the tensors of a `.pt` as safetensors; the tests write the `.pt` again"
    state = torch.load(file, weights_only=True)
    save_file({k: v.clone().contiguous() for k, v in state.items()}, file.with_suffix('.safetensors'))
    file.unlink()

def main(to):
    torch.set_grad_enabled(False); torch.manual_seed(0)
    shutil.rmtree(to/'golden', ignore_errors=True)
    for make in (make_dl, make_saelens, make_sparsify): make(to/'golden')
    for f in (to/'golden').glob('dl-*/ae.pt'): unpickle(f)
    rows = list(check())
    names = 'dictionary-learning', 'sae-lens', 'eai-sparsify', 'torch', 'safetensors'
    versions = {k: importlib.metadata.version(k).split('+')[0] for k in names}
    found = dict(versions=versions, inputs=list(X.shape), rows=rows)
    (to/'peers.json').write_text(json.dumps(found, indent=1)+'\n')
    worst = [max(r[k] for r in rows) for k in ('features', 'reconstruction')]
    print(len(rows), 'folders of ours opened; largest differences of features and reconstructions', *worst)

if __name__ == '__main__': main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent))
