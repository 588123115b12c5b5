"""Our denoising loop beside the pipeline's own: same weights, same prompt, same noise, same process.

Ours also computes what final latent every step implies, and must cost no more: the network takes the time."""
import argparse, statistics, time
import torch
from interp_nb.core.diffuser import Diffuser
from interp_nb.core.hub import shipped
from interp_nb.core.tiny import tiny


def seconds(f, repeats):
    "Median, fastest and slowest of `repeats` calls, after one to warm up"
    f(); times = []
    for _ in range(repeats):
        t = time.perf_counter(); f(); times.append(time.perf_counter()-t)
    return statistics.median(times), min(times), max(times)

def compare(name, pipe, prompt, steps, guidance, repeats, seeds):
    "One line: seconds of each, their ratio, the largest difference of a picture's value"
    d = Diffuser.load(pipe)
    pipe.set_progress_bar_config(disable=True)
    gens = lambda: [torch.Generator().manual_seed(s) for s in seeds]
    kw = dict(num_inference_steps=steps, guidance_scale=guidance, output_type='pt')
    kw.update(height=d.resolution, width=d.resolution)
    theirs = lambda: torch.as_tensor(pipe([prompt]*len(seeds), generator=gens(), **kw).images)
    ours = lambda: d.sample(prompt, seeds, steps=steps, guidance=guidance)
    with torch.no_grad(): gap = (ours().float()-theirs().float()).abs().max().item()
    (a, a0, a1), (b, b0, b1) = seconds(ours, repeats), seconds(theirs, repeats)
    print(f'{name:<12} ours {a:6.2f} s ({a0:.2f}–{a1:.2f})   diffusers {b:6.2f} s ({b0:.2f}–{b1:.2f})   '
          f'ours/diffusers {a/b:4.2f}   largest difference {gap:.1e}', flush=True)

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--steps', type=int, default=20)
    p.add_argument('--repeats', type=int, default=5)
    p.add_argument('--pictures', type=int, default=4)
    a = p.parse_args()
    pipes = {f'tiny {k}': tiny(k) for k in ('sd', 'sdxl')}
    if 'doodle' in shipped():
        from diffusers import StableDiffusionPipeline
        pipes['doodle'] = StableDiffusionPipeline.from_pretrained(shipped()['doodle']).to(torch.float32)
    print(f'{a.pictures} pictures, {a.steps} steps, guidance 5, {torch.get_num_threads()} threads')
    seeds = list(range(a.pictures))
    for name, pipe in pipes.items(): compare(name, pipe, 'a red house', a.steps, 5., a.repeats, seeds)
