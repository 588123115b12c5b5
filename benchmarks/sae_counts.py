"""How often features and properties go together: ours, the plain dense product, and the published tiling.

4096 features at 10 thresholds, 20,000 positions, 1000 properties, once with features that fire rarely, like a
dictionary's, and once with features that fire half the time, like neurons. The dense product is one
`(F, N) @ (N, G)` in float32 for each threshold. The tiling multiplies 25 features with 25 games elementwise
for all thresholds and properties, in int8, then sums, which is the work that the published code does; it
would take hours, so a few tiles are timed and multiplied by their number. All must count the same, to the
last bit. Then coverage and board reconstruction as a whole, and the peak memory of the process."""
import argparse, resource, statistics, time
import torch
from interp_nb.sae.counts import THRESHOLDS, count, pack
from interp_nb.sae.metrics import coverage, reconstruction


def sample(n, F, G, share, seed=0):
    "Features of which a `share` fires, and properties that hold in a fifth of the positions"
    g = torch.Generator().manual_seed(seed)
    f = torch.rand(n, F, generator=g).sub_(1-share).relu_().div_(share)
    return f, torch.rand(n, G, generator=g) < .2

def seconds(f, n):
    "Wall and processor seconds, medians of `n` runs, and what the last one gave"
    wall, cpu = [], []
    for _ in range(n):
        a, b = time.perf_counter(), time.process_time(); out = f()
        wall.append(time.perf_counter()-a); cpu.append(time.process_time()-b)
    return statistics.median(wall), statistics.median(cpu), out

def product(f, Y, fmax, t): return ((f > t*fmax).float().T@Y.float()).int()

def tile(f, Y, fmax):
    "All thresholds of a few features in some positions, elementwise: `(T, features, G)`"
    on = torch.stack([f > t*fmax for t in THRESHOLDS]).to(torch.int8)       # (T, n, features)
    return (on.transpose(1, 2)[..., None]*Y.to(torch.int8)).sum(2, dtype=torch.int32)

def gigabytes(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/2**20

def compare(name, share, a):
    f, Y = sample(a.n, a.features, a.properties, share)
    labels, fmax, game = pack(Y), f.amax(0), torch.arange(a.n)//20
    ours, cpu, c = seconds(lambda: count(f, labels), a.repeats)
    print(f'{name}: {share:.1%} of values fire ({share*a.features:.0f} of {a.features})')
    print(f'  ours                {ours:9.1f} s ({cpu:.1f} s of processor)   '
        f'peak memory so far {gigabytes():.2f} GB')
    t, p, _ = seconds(lambda: (coverage(f, labels, game, counts=c).score(),
        reconstruction(f, labels, game).score()), 1)
    print(f'  then coverage, and reconstruction with counts of its own {t:.1f} s ({p:.1f} s of processor)   '
        f'peak memory {gigabytes():.2f} GB')
    for how in ('sparse', 'dense', 'bits') if a.ways else ():
        t, p, same = seconds(lambda: count(f, labels, how=how), 1)
        same = 'the same' if torch.equal(same.tp, c.tp) else 'DIFFERENT'
        print(f'    as {how:<8}       {t:9.1f} s ({p:.1f} s of processor)   {same}')
    few = len(THRESHOLDS) if a.full else 1
    t, p, tp = seconds(lambda: [product(f, Y, fmax, THRESHOLDS[k]) for k in range(few)], 1)
    same = 'the same' if all(torch.equal(o, c.tp[k]) for k,o in enumerate(tp)) else 'DIFFERENT'
    report('dense product', t*len(THRESHOLDS)/few, p*len(THRESHOLDS)/few, ours, cpu, same)
    t, p, tp = seconds(lambda: tile(f[:500, :25], Y[:500], fmax[:25]), 3)
    same = 'the same' if torch.equal(tp, count(f[:500, :25], Y[:500], fmax=fmax[:25]).tp) else 'DIFFERENT'
    tiles = -(-a.features//25)*-(-a.n//500)
    report('tiles of 25 x 25', t*tiles, p*tiles, ours, cpu, f'{same}; {tiles} tiles')

def report(name, wall, cpu, ours, mine, same):
    print(f'  {name:<18}  {wall:9.0f} s ({cpu:.0f} s of processor)   '
        f'{wall/ours:.0f} times ours ({cpu/mine:.0f}), {same}')


if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--n', type=int, default=20_000, help='positions')
    p.add_argument('--features', type=int, default=4096)
    p.add_argument('--properties', type=int, default=1000)
    p.add_argument('--repeats', type=int, default=1)
    p.add_argument('--ways', action='store_true', help='also time each of our three ways')
    p.add_argument('--full', action='store_true', help='the dense product at all thresholds, not one of them')
    a = p.parse_args()
    print(f'{a.features} features, {len(THRESHOLDS)} thresholds, {a.n} positions, {a.properties} properties, '
        f'{torch.get_num_threads()} threads')
    compare('rare', .0125, a); compare('dense', .5, a)
