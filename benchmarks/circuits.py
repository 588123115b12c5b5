"""Ten circuits in one pass against one at a time, and exact patching of many edges against a hook for each.

GPT-2 small's shape with random weights, random tokens, spans of equal length. Circuits of ten sizes, 0.1 % to
all of the edges, come from one search over position-aware scores, and one over scores without positions.
Time of evaluating all ten is given in units of the mean time of evaluating one: both include the clean and
the counterfactual run, as every evaluation does. Then single edges cut for real, 64 a pass, against a forward
with a hook for each."""
import argparse, os, time
import torch
from transformers import GPT2Config, GPT2LMHeadModel
from interp_nb.core.decoders import final_norm
from interp_nb.core.lm import LM
from interp_nb.core.tiny import lm_tokenizer
from interp_nb.language.circuit_checks import exact
from interp_nb.language.circuits import faithfulness, search
from interp_nb.language.edges import source
from interp_nb.language.peap import attribute

SHARES = [.001, .002, .005, .01, .02, .05, .1, .2, .5, 1.]


def read(logits): return logits[:, 11]-logits[:, 22]

def timed(f, device):
    if device.type=='cuda': torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time(); out = f()
    if device.type=='cuda': torch.cuda.synchronize()
    return out, time.perf_counter()-wall, time.process_time()-cpu

def sizes(name, lm, circuits, clean, corrupt, spans, rounds):
    "Ten at once and one at a time, in turns; the fastest of each"
    run = lambda cs: faithfulness(lm, cs, clean, corrupt, read, schema=spans)
    best, cpus = {}, {}
    for _ in range(rounds):
        for key,cs in [('ten', circuits), *((i, [c]) for i,c in enumerate(circuits))]:
            f, wall, cpu = timed(lambda: run(cs), lm.device)
            best[key], cpus[key] = min(wall, best.get(key, wall)), min(cpu, cpus.get(key, cpu))
            if key=='ten': both = f.measured
            elif key==0: alone = f.measured
            else: alone = torch.cat([alone, f.measured])
        apart, alone = (alone-both).abs().max(), None
    for what,t in (('wall', best), ('processor', cpus)):
        ones = [t[i] for i in range(len(circuits))]
        print(f'{name:<18} {what:<9} ten {t["ten"]*1e3:7.0f} ms, '
            f'one {sum(ones)/len(ones)*1e3:6.0f} ms ({min(ones)*1e3:.0f} to {max(ones)*1e3:.0f}): '
            f'{t["ten"]/(sum(ones)/len(ones)):5.2f} x one, asked for: 3; '
            f'one after the other {sum(ones)/t["ten"]:.1f} x ten', flush=True)
    print(f'{"":<18} edges {[c.n_edges for c in circuits]}; '
        f'largest difference {float(apart):.1e}', flush=True)

def edges(lm, scores, clean, corrupt, spans, n):
    "Edges into the logits, at the last token: many a pass, and a hook each"
    U, V, S = len(scores.graph.writers), len(scores.graph.readers), len(scores.places)
    some = [((S-1)*U+u)*V + V-1 for u in range(0, U, max(1, U//n))]
    delta = source(lm, corrupt).writes-source(lm, clean).writes
    with torch.no_grad(): base = read(lm.run(clean, logits=-1).logits)
    def hooked():
        out = []
        for e in some:
            def give(_, args, u=e//V % U, at=spans['last']):
                x = args[0].clone()
                x[:, at] += delta[:, at, u]
                return x, *args[1:]
            handle = final_norm(lm.model).register_forward_pre_hook(give)
            try: out.append(read(lm.run(clean, logits=-1).logits)-base)
            finally: handle.remove()
        return torch.stack(out)
    ours, wall, cpu = timed(
        lambda: exact(lm, scores, some, clean, corrupt, read, schema=spans['all']), lm.device)
    want, wall2, cpu2 = timed(hooked, lm.device)
    print(f'{len(some)} edges cut for real: {wall:.2f} s ({cpu:.2f} of processor), a hook each {wall2:.2f} s '
        f'({cpu2:.2f}): {wall2/wall:.1f} x ours; largest difference {(ours-want).abs().max():.1e}')

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--layers', type=int, default=12)
    p.add_argument('--tokens', type=int, default=17)
    p.add_argument('--spans', type=int, default=9)
    p.add_argument('--prompts', type=int, default=1)
    p.add_argument('--rounds', type=int, default=2)
    p.add_argument('--edges', type=int, default=40)
    p.add_argument('--device', default='cpu')
    a = p.parse_args()
    torch.manual_seed(0)
    lm = LM(GPT2LMHeadModel(GPT2Config(n_layer=a.layers)).eval().to(a.device), lm_tokenizer())
    clean, corrupt = torch.randint(0, 50257, (2, a.prompts, a.tokens)).to(a.device)
    ends = [round(i*a.tokens/a.spans) for i in range(a.spans+1)]
    spans = {f's{i}': torch.tensor([[x, y]]*a.prompts) for i,(x,y) in enumerate(zip(ends, ends[1:]))}
    print(f'{a.layers} layers, {a.prompts} x {a.tokens} tokens, {a.spans} spans, {a.device}, '
        f'{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} before', flush=True)
    aware = attribute(lm, clean, corrupt, read, schema=spans)
    blind = attribute(lm, clean, corrupt, read, 'eap')
    found, wall, _ = timed(lambda: search(aware, SHARES), lm.device)
    print(f'search over {aware.graph.n_edges(a.spans)} edges, all sizes: {wall:.2f} s')
    sizes('with positions', lm, found, clean, corrupt, spans, a.rounds)
    sizes('without', lm, search(blind, SHARES), clean, corrupt, 'all', a.rounds)
    edges(lm, aware, clean, corrupt, dict(all=spans, last=slice(ends[-2], ends[-1])), a.edges)
    print(f'load {os.getloadavg()[0]:.1f} after')

if __name__ == '__main__': main()
