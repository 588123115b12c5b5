"""Training dictionaries: ours beside dictionary_learning and SAELens, and a sweep beside one after another.

Width 512, 4096 features, batches of 2048 rows that are in memory: a Standard and a TopK dictionary. First
ours are trained for some steps, so that as many features fire as in a real run; then everyone trains on from
these weights on the same batches, in turns, each by the step of its own trainer. Then what a sweep of eight
costs: ours as one stack, ours one after another, theirs one after another, and with the activations taken
from a language model of six layers in the same width, once for a sweep and once for each that goes alone.

How many features fire decides a Standard one: from 1/16 of them on our step multiplies whole matrices, as
theirs do, and gains nothing (`--penalty .1 --settle 120`); below, it gathers what fires."""
import argparse, copy, importlib.util, os, statistics, time
import torch
from interp_nb.core.lm import LM, Site
from interp_nb.core.tokens import Tokens
from interp_nb.sae import training as ours
from interp_nb.sae.activations import site_rows

def data(n, d, parts, k, seed=0):
    "Rows that are sums of `k` of `parts` directions, mean 0 and mean square length 1"
    g = torch.Generator().manual_seed(seed)
    D = torch.nn.functional.normalize(torch.randn(parts, d, generator=g), dim=1)
    ids = torch.randint(parts, (n, k), generator=g)
    sizes = torch.rand(n, k, generator=g) + .5
    x = torch.nn.functional.embedding_bag(ids, D, per_sample_weights=sizes, mode='sum')
    x -= x.mean(0)
    return x/x.square().sum(1).mean().sqrt()

class Ours:
    "A stack of equal dictionaries, stepped by hand"
    def __init__(self, kind, sparsity, a, copies=1, lr=1e-3):
        run = dict(steps=10**6, batch=a.batch, warmup=0., decay=0., sparsity_warmup=0., anneal=[.27, 1.],
            levels=10, patience=.01, resample=0., buffer=a.batch, seed=0)
        configs = [ours.Config(kind, a.features, sparsity, lr, seed=i) for i in range(copies)]
        self.sweep, _ = ours._prepared(configs, torch.randn(a.batch, a.d), run, 'cpu')
        self.sweep.mean.zero_(); self.sweep.scale.fill_(1.)
        self.adam, self.i = ours._Adam(self.sweep.stacks), 0
        self.stack = self.sweep.stacks[0]

    @torch.no_grad()
    def step(self, x):
        loss = self.sweep.step(self.i, x); self.adam.step(); self.i += 1
        return loss.item()

    def l0(self): return self.stack.trace[0, 1].mean().item()

def theirs_dl(kind, sparsity, a, stack, lr=1e-3):
    "A trainer of dictionary_learning with the weights of `stack`"
    from dictionary_learning.trainers import StandardTrainer, TopKTrainer
    kw = dict(activation_dim=a.d, dict_size=a.features, layer=0, lm_name='', device='cpu')
    kw |= dict(steps=10**6, warmup_steps=1)
    if kind=='standard': t = StandardTrainer(l1_penalty=sparsity, lr=lr, sparsity_warmup_steps=None, **kw)
    else: t = TopKTrainer(k=sparsity, lr=lr, **kw)
    with torch.no_grad():
        t.ae.encoder.weight.copy_(stack.E[0]); t.ae.encoder.bias.copy_(stack.c[0])
        t.ae.decoder.weight.copy_(stack.D[0].T)
        (t.ae.bias if kind=='standard' else t.ae.b_dec).copy_(stack.b[0])
    at = iter(range(1, 10**9)) # at step 0 it computes a median
    return lambda x: t.update(next(at), x), lambda x: t.loss(x, step=10**5).item()

def theirs_sl(kind, sparsity, a, stack, lr=1e-3):
    "A trainer of SAELens with the weights of `stack`"
    from sae_lens import (StandardTrainingSAE, StandardTrainingSAEConfig,
        TopKTrainingSAE, TopKTrainingSAEConfig)
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer
    kw = dict(d_in=a.d, d_sae=a.features, apply_b_dec_to_input=True)
    if kind=='standard': sae = StandardTrainingSAE(StandardTrainingSAEConfig(l1_coefficient=sparsity, **kw))
    else: sae = TopKTrainingSAE(TopKTrainingSAEConfig(k=sparsity, **kw)) # its sparse form has no backward
    with torch.no_grad():
        sae.W_enc.copy_(stack.E[0].T); sae.b_enc.copy_(stack.c[0])
        sae.W_dec.copy_(stack.D[0]); sae.b_dec.copy_(stack.b[0])
    cfg = SAETrainerConfig(total_training_samples=10**9, train_batch_size_samples=a.batch, lr=lr, lr_end=lr)
    t = SAETrainer(cfg, sae, iter(()))
    def step(x):
        out = t.step(x); t.n_training_steps += 1
        return out.loss.item()
    return step, lambda x: loss_sl(t, x)

def loss_sl(t, x):
    from sae_lens.saes.sae import TrainStepInput
    return t.sae.training_forward_pass(TrainStepInput(sae_in=x, dead_neuron_mask=t.dead_neurons,
        coefficients=t.get_coefficients(), n_training_steps=0, is_logging_step=False)).loss.item()

def timed(f, *args):
    wall, cpu = time.perf_counter(), time.process_time(); out = f(*args)
    return time.perf_counter()-wall, time.process_time()-cpu, out

def race(ways, batches):
    "Median seconds of a step of each way, wall and processor, the ways taking turns"
    got = {k: [] for k in ways}
    for x in batches:
        for k,f in ways.items(): got[k].append(timed(f, x)[:2])
    return {k: tuple(statistics.median(o) for o in zip(*v[1:])) for k,v in got.items()}

def harvest(a):
    "Seconds of a batch of rows from a language model of six layers, wall and processor"
    from transformers import GPT2Config, GPT2LMHeadModel
    model = GPT2LMHeadModel(GPT2Config(vocab_size=61, n_positions=59, n_embd=a.d, n_layer=8, n_head=8,
        bos_token_id=0, eos_token_id=0)).eval()
    lm, ids = LM(model, None), torch.randint(61, (-(-a.batch//59), 59))
    tokens = Tokens(ids, torch.ones_like(ids))
    site_rows(lm, tokens, Site('resid_post', 5))
    return min(timed(site_rows, lm, tokens, Site('resid_post', 5))[:2] for _ in range(2))

def missing():
    "Whether the peers are not here, said in one line"
    gone = [m for m in ('dictionary_learning', 'sae_lens') if importlib.util.find_spec(m) is None]
    if gone: print(f'{", ".join(gone)} not installed: ours alone (see benchmarks/requirements-sae.txt)')
    return bool(gone)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--d', type=int, default=512)
    p.add_argument('--features', type=int, default=4096)
    p.add_argument('--batch', type=int, default=2048)
    p.add_argument('--settle', type=int, default=200, help='steps of ours before the race')
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--sweep', type=int, default=8)
    p.add_argument('--k', type=int, default=64)
    p.add_argument('--penalty', type=float, default=.14)
    p.add_argument('--alone', action='store_true', help='without dictionary_learning and SAELens')
    a = p.parse_args(); torch.manual_seed(0)
    a.alone = a.alone or missing()
    x = data(a.batch*8, a.d, a.features, 16).split(a.batch)
    print(f'd={a.d} F={a.features} batch={a.batch}, {torch.get_num_threads()} threads, '
          f'torch {torch.__version__}, load {os.getloadavg()[0]:.1f} before', flush=True)
    lm = harvest(a)
    print(f'activations of a batch: {lm[0]:.2f} s ({lm[1]:.2f} s of processor, like all in brackets)')
    for kind, sparsity in (('standard', a.penalty), ('topk', a.k)): report(kind, sparsity, a, x, lm)
    print(f'load {os.getloadavg()[0]:.1f} after')

def settled(kind, sparsity, a, x):
    "Ours after some steps, as one and as a stack, and the processor time of a step at the very beginning"
    first = Ours(kind, sparsity, a)
    fresh = min(timed(first.step, x[i])[1] for i in range(2))
    for i in range(a.settle): first.step(x[i%len(x)])
    copies = Ours(kind, sparsity, a), Ours(kind, sparsity, a, a.sweep)
    for o in copies:
        for k in o.stack.names: getattr(o.stack, k).copy_(getattr(first.stack, k)) # the same in each
    return *copies, fresh

def report(kind, sparsity, a, x, lm):
    "One kind: parity, the race, the sweep"
    one, many, fresh = settled(kind, sparsity, a, x)
    ways, S = dict(ours=one.step), a.sweep
    if not a.alone:
        makers = dict(dictionary_learning=theirs_dl, SAELens=theirs_sl)
        peers = {k: f(kind, sparsity, a, one.stack) for k,f in makers.items()}
        ways |= {k: step for k,(step,_) in peers.items()}
        losses = dict(ours=copy.deepcopy(one.sweep).step(1, x[0]).item())
        losses |= {k: f(x[0]) for k,(_,f) in peers.items()}
        print(f'{kind}, losses from the same weights:', ', '.join(f'{k} {v:.6f}' for k,v in losses.items()))
    got = race(ways | {'a stack': many.step}, [x[i%len(x)] for i in range(a.rounds+1)])
    own, stack = got['ours'], got.pop('a stack')
    print(f'{kind}: {one.l0():.0f} of {a.features} features fire; a step of ours in the beginning takes '
          f'({fresh:.2f} s)')
    for k,(w,c) in got.items():
        def ratio(i, m=0): return S*(got[k][i] + m*lm[i])/(stack[i] + m*lm[i])
        print(f'  {k:<19} {a.batch/w/1e3:6.1f} k rows/s ({a.batch/c/1e3:5.1f} k), {w/own[0]:4.2f} x ours '
              f'({c/own[1]:4.2f})\n    {S} in a row / our sweep of {S}: {ratio(0):.1f} ({ratio(1):.1f}) '
              f'from memory, {ratio(0, 1):.1f} ({ratio(1, 1):.1f}) with the model', flush=True)
    w, c = (S*a.batch/o/1e3 for o in stack)
    print(f'  our sweep of {S}      {w:6.1f} k dictionary-rows/s ({c:5.1f} k)')
    best = min((v for k,v in got.items() if k!='ours'), default=None)
    if best: print(f'  better peer/ours {best[0]/own[0]:.1f} ({best[1]/own[1]:.1f}), asked for: 1.5')

if __name__ == '__main__': main()
