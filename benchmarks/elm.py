"""A step of ELM: ours, and a straight transcription of the published one.

On the same weights and passages of the zoo's text world. The published step reads one forget and one
retain passage: three readings of the frozen model and its dense target in double precision, a fourth for
the retain labels, a fluency text sampled there and then from three streams (keys and values kept, which
favours it), three forwards of the student and three backwards; every fourth is followed by an update. Ours
computes targets and texts once, in batches, and packs four passages of each kind into one forward and
backward. Reported: time of four published steps over one of ours with caches warm; a full training, caches
included, where each passage comes up one and a half times, as in the published command; and the difference
of the two gradients."""
import argparse, json, os, statistics, sys, time
import torch
import torch.nn.functional as F
from interp_nb.core.adapters import Adapter
from interp_nb.core.lm import LM
from interp_nb.core.training import mix
from interp_nb.language.elm import _frozen, _step, places, prepare, recipe
from interp_nb.language.erasure_checks import request
from interp_nb.language.targets import losses, pack, passages, strengths


def frozen(model, dial, ids):
    "Logits of the model without its adapter"
    dial.scale = 0.
    with torch.no_grad(): z = model(torch.tensor([ids]), use_cache=False).logits[0]
    dial.scale = 1.
    return z

def published_target(model, dial, p, r):
    "Dense target in double precision, for each token of a passage"
    z = [frozen(model, dial, list(o)+p.ids)[-len(p.ids):].double() for o in (p.plain, p.novice, p.expert)]
    base, novice, expert = ((o/r.temperature).log_softmax(-1) for o in z)
    s = base + strengths(len(p.ids), r.eta, r.schedule).double()[:, None]*(novice-expert)
    v, i = s.topk(r.topk)
    return torch.full_like(s, -torch.inf).scatter(-1, i, v).softmax(-1)

def published_text(model, dial, lm, p, prompt, r, generator):
    "Sample a fluency text, three streams one after the other"
    dial.scale = 0.
    caches, at, made = [None]*3, [list(p.plain)+prompt, list(p.novice), list(p.expert)], []
    with torch.no_grad():
        for _ in range(r.fluent):
            z = []
            for k in range(3):
                out = model(torch.tensor([at[k]]), past_key_values=caches[k], use_cache=True)
                caches[k] = out.past_key_values; z.append(out.logits[0, -1].double().log_softmax(-1))
            q = (z[0]+r.guidance*(z[1]-z[2])).softmax(-1)
            made.append(int(torch.multinomial(q, 1, generator=generator))); at = [made[-1:]]*3
    dial.scale = 1.
    return made

def published_losses(model, dial, gone, kept, prompt, text, r):
    "Three losses, each with a forward of its own, backward at once"
    q = published_target(model, dial, gone, r)
    def student(ids): return model(torch.tensor([ids]), use_cache=False).logits[0].double().log_softmax(-1)
    (-(q*student(gone.plain+gone.ids)[-len(gone.ids):]).sum(-1).mean()).backward()
    ids = kept.plain+kept.ids
    label = frozen(model, dial, ids).argmax(-1)[-len(kept.ids):]
    F.nll_loss(student(ids)[-len(kept.ids):], label).backward()
    ids = prompt+text
    F.nll_loss(student(ids)[len(prompt):-1], torch.tensor(ids[len(prompt)+1:])).backward()

def timed(f):
    start = time.process_time(); out = f()
    return out, time.process_time()-start

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--model', default='smallworld', help='a name that LM.load takes')
    p.add_argument('--passages', type=int, default=64)
    p.add_argument('--repeats', type=int, default=5, help='pairs')
    p.add_argument('--fluent', type=int, default=48, help='tokens of a text; published are 100 to 300')
    a = p.parse_args()
    lm, asked = LM.load(a.model), request('potion', a.passages)
    r = recipe('released', fluent=a.fluent, canned=False, dropout=0., layers=(1, 2))
    (parts, *_), once = timed(lambda: prepare(lm, asked['concept'], asked['forget'], asked['retain'], r))
    gone = passages(lm, asked['forget'], asked['concept'], r.most, mix(0, 0))
    gone, kept = (o[min(32, len(o)//10):] for o in (gone, passages(lm, asked['retain']))) # not held out
    g = torch.Generator().manual_seed(0)
    adapter = Adapter.new(lm.model, places(lm, r.layers), r.rank, r.alpha)
    with torch.no_grad(): [o.normal_(0, .05, generator=g) for o in adapter.up]
    with _frozen(lm.model), adapter.attach(lm.model) as dial:
        opt = torch.optim.AdamW(adapter.parameters(), lr=0.)
        def four(k):
            for j in (i%len(gone) for i in range(4*k, 4*k+4)):
                prompt = gone[j].ids[:max(1, min(24, len(gone[j].ids)//2))]
                text = published_text(lm.model, dial, lm, gone[j], prompt, r, g)
                published_losses(lm.model, dial, gone[j], kept[j%len(kept)], list(gone[j].plain)+prompt, text,
                    r)
            opt.step(); opt.zero_grad()
        def one(k): _step(lm, parts, r, k, 0)[0].backward(); opt.step(); opt.zero_grad()
        pairs = interleaved(four, one, a.repeats)
        worst = difference(lm, dial, adapter, gone, kept, parts, r)
    return report(a, pairs, once, len(gone), worst)

def interleaved(four, one, repeats, many=4):
    "Seconds of a call of `four` and of `one`, side by side, after a warm-up; `many` of the short one"
    def short(k): [one(many*k+i) for i in range(many)]
    four(0); short(0); pairs = []
    for k in range(repeats):
        jobs = [(0, four), (1, short)][::1 if k%2 else -1]
        times = {i: timed(lambda: f(k))[1] for i,f in jobs}
        pairs.append((times[0], times[1]/many))
    return pairs

def report(a, pairs, once, passages, worst):
    "Print a table and JSON; 1 where something asked for was missed"
    ratios = sorted(slow/fast for slow,fast in pairs)
    steps, (slow, fast) = 1.5*passages/4, (statistics.median(o) for o in zip(*pairs))
    out = dict(threads=torch.get_num_threads(), load=round(os.getloadavg()[0], 1), model=a.model,
        passages=passages, fluent=a.fluent, four_published=slow, one_of_ours=fast, caches=once,
        step=statistics.median(ratios), step_range=[ratios[0], ratios[-1]],
        training=steps*slow/(once+steps*fast), gradients=worst)
    asked = dict(step=10, training=5)
    print(f'{out["threads"]} threads, load {out["load"]}, seconds of the processor')
    print(f'four published steps {slow:8.3f}\none of ours          {fast:8.3f}')
    print(f'targets and texts    {once:8.3f}')
    print(f'a step               {out["step"]:8.1f} times faster ({ratios[0]:.1f} to {ratios[-1]:.1f} over '
        f'{len(ratios)} pairs); asked for: {asked["step"]}')
    print(f'a training           {out["training"]:8.1f} times faster, caches included; asked for: '
        f'{asked["training"]}')
    print(f'gradients differ by {worst:.1e} of the largest entry; allowed: 1e-4')
    missed = [k for k,v in asked.items() if out[k] < v] + ['gradients']*(not worst < 1e-4)
    print(json.dumps(out | dict(missed=missed)))
    return int(bool(missed))

def difference(lm, dial, adapter, gone, kept, parts, r):
    "Gradients of the first four passages in order, with the same fluency texts"
    params = list(adapter.parameters())
    losses(lm, pack([s for o in parts for s in o[:4]]), 3)[0].backward()
    mine = [o.grad.clone() for o in params]
    for o in params: o.grad = None
    for j in range(4):
        s = parts[2][j]; first = s.at[0]       # of the prompt; then a token that is not learnt, and the text
        published_losses(lm.model, dial, gone[j], kept[j], s.ids[:first], s.ids[first:], r)
    worst = max(float((o.grad-m).abs().max()) for o,m in zip(params, mine))
    return worst/max(float(m.abs().max()) for m in mine)

if __name__ == '__main__': sys.exit(main())
