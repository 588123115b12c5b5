"""Scores of every edge at every position: ours, TransformerLens, and one run of the model there and back.

GPT-2 small's shape with random weights, prompts of 17 random tokens in 9 spans, the difference of two logits
read after the last token. First how long all position-aware scores take, crossing edges included, by token
and by span, in units of one forward and one backward (to the embeddings alone; and, as training would, to the
weights too), and how much memory. Then the same-position edges of TransformerLens, which has no crossing
ones, one prompt, gradients at the counterfactual as it takes them: both must say the same."""
import argparse, copy, os, resource, statistics, time
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from transformers.utils import logging
from interp_nb.core.lm import LM
from interp_nb.language.peap import attribute

RIGHT, WRONG = 11, 22


def words(n):
    from tokenizers import Tokenizer, models, pre_tokenizers
    t = Tokenizer(models.WordLevel({f't{i}': i for i in range(n)}, unk_token='t0'))
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=t)

def difference(logits): return logits[:, RIGHT]-logits[:, WRONG]

def there_and_back(model, ids, weights):
    "One forward and one backward"
    for p in model.parameters(): p.requires_grad_(weights); p.grad = None
    x = model.transformer.wte(ids).detach().requires_grad_()
    difference(model(inputs_embeds=x, use_cache=False, logits_to_keep=1).logits[:, -1]).sum().backward()
    for p in model.parameters(): p.requires_grad_(True); p.grad = None

def timed(f):
    start = time.perf_counter(); out = f()
    return out, time.perf_counter()-start

def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*1024

def ratios(ours, unit, repeats):
    "Median of neighbours' ratios, and both medians"
    ours(); unit()
    pairs = [(timed(unit)[1], timed(ours)[1]) for _ in range(repeats)]
    return statistics.median(b/a for a,b in pairs), *(statistics.median(o) for o in zip(*pairs))

def lens(model, clean, corrupt, tokenizer):
    "TransformerLens' scores, `{(writer, reader): score}`, and their time"
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.tools.analysis import attribution_patching as tl
    bridge = TransformerBridge.boot_transformers('gpt2', hf_model=copy.deepcopy(model), tokenizer=tokenizer,
        device='cpu')
    bridge.eval()
    config = tl.EdgeAttributionConfig(granularity='edge')
    run = lambda: tl.attribution_patch(bridge, clean, corrupt, lambda o: difference(o[:, -1])[0], config)
    found, seconds = timed(run)
    return found.edge_scores, seconds

def gap(edges, scores):
    "Largest difference between TransformerLens' scores and ours, and the largest score"
    g, kinds = scores.graph, dict(q_input='q', k_input='k', v_input='v', mlp_in='mlp', logits='logits')
    worst = 0.
    for (w, r), value in edges.items():
        u = g.writer(w.layer, w.head)
        v = g.reader(r.layer or 0, kinds[r.kind], r.head or 0)
        worst = max(worst, abs(value-float(scores.same[r.position, u, v])))
    assert len(edges)==int(g.mask.sum())*len(scores.places), (len(edges), g.n_edges(), len(scores.places))
    return worst, float(scores.same.abs().max())

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--layers', type=int, default=12)
    p.add_argument('--tokens', type=int, default=17)
    p.add_argument('--prompts', type=int, nargs='+', default=[1, 8], help='prompts scored together')
    p.add_argument('--repeats', type=int, default=9)
    p.add_argument('--alone', action='store_true', help='without TransformerLens')
    a = p.parse_args()
    logging.disable_progress_bar(); torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_layer=a.layers)).eval()
    lm = LM(model, words(model.config.vocab_size))
    print(f'{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} before', flush=True)
    for n in a.prompts:
        clean, corrupt = torch.randint(0, 50257, (2, n, a.tokens))
        ends = torch.linspace(0, a.tokens, 10).round().long()
        spans = {f's{i}': torch.stack([ends[i], ends[i+1]]).expand(n, 2) for i in range(9)}
        before = peak()
        for what, schema in (('9 spans', spans), ('every token', None)):
            ours = lambda: attribute(lm, clean, corrupt, difference, schema=schema)
            least, unit, mine = ratios(ours, lambda: there_and_back(model, clean, False), a.repeats)
            full = ratios(ours, lambda: there_and_back(model, clean, True), max(3, a.repeats//3))[0]
            print(f'{n} prompt(s), {what}: {mine*1e3:.0f} ms, there and back {unit*1e3:.0f} ms: '
                f'ratio {least:.2f} (with weights {full:.2f}); asked for: at most 3', flush=True)
        print(f'{n} prompt(s): the process grew by {max(0, peak()-before)/1e9:.2f} GB, with the runs '
            'that are the unit; asked for: at most 2', flush=True)
    if not a.alone: against_lens(lm, a)

def against_lens(lm, a):
    clean, corrupt = torch.randint(0, 50257, (2, 1, a.tokens))
    kw = dict(schema='tokens', grad_at='corrupt', metric_sign=-1)
    ours = lambda: attribute(lm, clean, corrupt, difference, 'eap', **kw)
    edges, theirs = lens(lm.model, clean, corrupt, lm.tokenizer)
    scores, mine = min((timed(ours) for _ in range(3)), key=lambda o: o[1])
    both = timed(lambda: attribute(lm, clean, corrupt, difference))[1]
    worst, largest = gap(edges, scores)
    print(f'{len(edges)} edges within positions: TransformerLens {theirs:.2f} s, ours {mine:.2f} s (with all '
        f'that cross {both:.2f} s): {theirs/mine:.1f} times faster ({theirs/both:.1f}); asked for: 5; '
        f'largest difference {worst:.1e} of {largest:.2f}; load {os.getloadavg()[0]:.1f} after')

if __name__ == '__main__': main()
