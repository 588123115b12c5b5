"""Every layer times every position of one kind of site: ours, a plain loop, TransformerLens and nnsight.

GPT-2 small's shape with random weights, two prompts of random tokens, the residual before each layer copied
from one run into the other, the difference of two logits read after the last token. Each way is the one its
documentation shows; nnsight also with all positions of a layer as invokes of one trace. All must say the
same. Then what it costs to record the residual stream of every layer."""
import argparse, contextlib, copy, io, os, statistics, tempfile, time
import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from transformers.utils import logging
from interp_nb.core.lm import LM, Site
from interp_nb.language.patching import sweep
from interp_nb.language.tasks import Batch

RIGHT, WRONG = 11, 22


def words(n, folder):
    "A tokenizer of `n` words, from a `folder` since TransformerLens loads it again from there"
    from tokenizers import Tokenizer, models, pre_tokenizers
    t, end = Tokenizer(models.WordLevel({f't{i}': i for i in range(n)}, unk_token='t0')), f't{n-1}'
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    kw = dict(bos_token=end, eos_token=end, pad_token=end)
    PreTrainedTokenizerFast(tokenizer_object=t, **kw).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)

def read(logits): return logits[:, -1, RIGHT]-logits[:, -1, WRONG]

class Ways:
    "One sweep, five ways: `(layers, positions)` of the difference after each patch"
    def __init__(self, model, clean, corrupt):
        self.model, self.clean, self.corrupt = model, clean, corrupt
        self.shape = model.config.n_layer, clean.shape[1]

    def ours(self):
        lm = LM(self.model, self.tokenizer)
        b = Batch([None], lm.tokens(self.clean), lm.tokens(self.corrupt), torch.tensor([[RIGHT]]),
            torch.tensor([[WRONG]]), {})
        return sweep(lm, b, 'resid_pre').patched[0, :, :, 0]

    @torch.no_grad()
    def plain(self):
        out, blocks = torch.zeros(self.shape), self.model.transformer.h
        source = self.model(self.clean, output_hidden_states=True).hidden_states
        for l in range(self.shape[0]):
            for p in range(self.shape[1]):
                def overwrite(module, args): args[0][:, p] = source[l][:, p]
                handle = blocks[l].register_forward_pre_hook(overwrite)
                try: out[l, p] = read(self.model(self.corrupt).logits)
                finally: handle.remove()
        return out

    def lens(self):
        from transformer_lens import patching
        bridge = self.bridge
        with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()): # its progress bar
            _, cache = bridge.run_with_cache(self.clean)
            return patching.get_act_patch_resid_pre(bridge, self.corrupt, cache, lambda o: read(o)[0])

    @torch.no_grad()
    def nnsight(self):
        import nnsight
        net, out = self.traced, torch.zeros(self.shape)
        with net.trace(self.clean):
            source = nnsight.save([])
            for l in range(self.shape[0]): source.append(net.transformer.h[l].input)
        for l in range(self.shape[0]):
            for p in range(self.shape[1]):
                with net.trace(self.corrupt):
                    net.transformer.h[l].input[:, p] = source[l][:, p]
                    logits = net.lm_head.output.save()
                out[l, p] = read(logits)
        return out

    @torch.no_grad()
    def invokes(self):
        import nnsight
        net, out = self.batched, torch.zeros(self.shape)
        with net.trace(self.clean):
            source = nnsight.save([])
            for l in range(self.shape[0]): source.append(net.transformer.h[l].input)
        for l in range(self.shape[0]):
            with net.trace() as tracer:
                rows = nnsight.save([])
                for p in range(self.shape[1]):
                    with tracer.invoke(self.corrupt):
                        net.transformer.h[l].input[:, p] = source[l][:, p]
                        rows.append(net.lm_head.output[:, -1])
            for p,row in enumerate(rows): out[l, p] = read(row[:, None])
        return out

    def prepare(self, peers, folder):
        "Wrap copies of the model: what each peer does once"
        self.tokenizer = words(self.model.config.vocab_size, folder)
        names = dict(ours=self.ours, plain=self.plain)
        if not peers: return names
        import nnsight
        from transformer_lens.model_bridge import TransformerBridge
        self.bridge = TransformerBridge.boot_transformers('gpt2', hf_model=copy.deepcopy(self.model),
            tokenizer=self.tokenizer, device='cpu')
        self.traced = nnsight.NNsight(copy.deepcopy(self.model))
        self.batched = nnsight.TransformersModel(copy.deepcopy(self.model), tokenizer=self.tokenizer)
        return names | {'TransformerLens': self.lens, 'nnsight': self.nnsight,
            'nnsight invokes': self.invokes}

def timed(f):
    wall, cpu = time.perf_counter(), time.process_time(); out = f()
    return out, time.perf_counter()-wall, time.process_time()-cpu

def race(ways, rounds):
    "Each way's values and its fastest wall and processor seconds, the ways taking turns"
    got = {}
    for _ in range(rounds):
        for name, f in ways.items():
            values, wall, cpu = timed(f)
            _, w, c = got.get(name, (None, wall, cpu)); got[name] = values, min(w, wall), min(c, cpu)
    return got

@torch.no_grad()
def recording(model, tokenizer, ids, repeats):
    "Recording all residuals against a bare forward: median of the ratios of neighbours, and both medians"
    lm = LM(model, tokenizer)
    sites = [Site('resid_post', l) for l in range(lm.n_layers)]
    bare, ours = lambda: model(ids, use_cache=False), lambda: lm.run(ids, record=sites)
    for f in (bare, ours): f()
    pairs = [(timed(bare)[1], timed(ours)[1]) for _ in range(repeats)]
    return statistics.median(b/a for a,b in pairs), *(statistics.median(o) for o in zip(*pairs))

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--layers', type=int, default=12)
    p.add_argument('--tokens', type=int, default=17)
    p.add_argument('--rounds', type=int, default=2)
    p.add_argument('--repeats', type=int, default=30, help='of the recording')
    p.add_argument('--alone', action='store_true', help='without TransformerLens and nnsight')
    a = p.parse_args()
    logging.disable_progress_bar(); torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_layer=a.layers)).eval()
    clean, corrupt = torch.randint(0, 50257, (2, 1, a.tokens))
    ways = Ways(model, clean, corrupt)
    with tempfile.TemporaryDirectory() as folder: todo = ways.prepare(not a.alone, folder)
    print(f'{a.layers} layers x {a.tokens} positions, {torch.get_num_threads()} threads, '
          f'load {os.getloadavg()[0]:.1f} before', flush=True)
    got = race(todo, a.rounds)
    want, mine, cpu = got['plain'][0], got['ours'][1], got['ours'][2]
    for name, (values, w, c) in got.items():
        print(f'{name:<16} {w:7.2f} s ({c:7.2f} s of processor)   {w/mine:5.1f} x ours ({c/cpu:5.1f})   '
              f'largest difference from the loop {(values-want).abs().max():.1e}', flush=True)
    best = min((o for k,o in got.items() if k not in ('ours', 'plain')), key=lambda o: o[1], default=None)
    def ratio(o): return f'{o[1]/mine:.1f} ({o[2]/cpu:.1f} of processor time)'
    print(f'loop/ours {ratio(got["plain"])}, asked for: 5; '
          + (f'better peer/ours {ratio(best)}, asked for: 3; ' if best else '')
          + f'spread of the values {want.std():.3f}, largest difference asked for: 1e-5')
    cost, bare, recorded = recording(model, ways.tokenizer, clean, a.repeats)
    print(f'recording all residuals {recorded*1e3:.1f} ms, bare forward {bare*1e3:.1f} ms, '
          f'ratio {cost:.2f}; asked for: at most 1.15; load {os.getloadavg()[0]:.1f} after')

if __name__ == '__main__': main()
