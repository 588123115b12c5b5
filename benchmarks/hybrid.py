"""The hybrid beside a transcription of the published notebook: same weights, prompts, noise and process.

The notebook loads two pipelines that share a scheduler, lets the base's pipeline take the first step of the
student's grid and stop, and hands its latents to the student's pipeline. Ours must draw the same pictures,
and cost no more."""
import argparse, statistics, time
import torch
from interp_nb.core.diffuser import Diffuser
from interp_nb.core.hub import shipped
from interp_nb.core.tiny import tiny
from interp_nb.diffusion.distillation import alone, hybrid

GRID = [999, 749, 499, 249]


def seconds(fs, repeats):
    "Median, fastest and slowest of `repeats` calls of each function, taking turns, after one to warm up"
    times = [[] for f in fs]
    for f in fs: f()
    for _ in range(repeats):
        for f, ts in zip(fs, times): t = time.perf_counter(); f(); ts.append(time.perf_counter()-t)
    return [(statistics.median(ts), min(ts), max(ts)) for ts in times]

class Counter:
    "Samples that went through networks while inside"
    def __init__(self, *nets): self.nets, self.n = nets, 0
    def add(self, net, args, out): self.n += len(args[0])
    def __enter__(self): self.hooks = [o.register_forward_hook(self.add) for o in self.nets]; return self
    def __exit__(self, *_): [o.remove() for o in self.hooks]

@torch.no_grad()
def notebook(base, student, prompt, seeds):
    "Two pipelines, one scheduler, one denoising loop in two halves; each pipeline encodes the prompt"
    gens = [torch.Generator().manual_seed(s) for s in seeds]
    scheduler = type(student.scheduler).from_config(student.scheduler.config)
    scheduler.set_timesteps(len(GRID))
    if [int(t) for t in scheduler.timesteps]!=GRID:
        raise SystemExit(f'the grid is {scheduler.timesteps.tolist()}')
    c, size = student.unet.config.in_channels, student.unet.config.sample_size
    x = torch.cat([torch.randn(1, c, size, size, generator=g) for g in gens])*scheduler.init_noise_sigma
    for i,t in enumerate(scheduler.timesteps):
        if i in (0, 1): # the base's pipeline begins, the student's takes over
            pipe = student if i else base
            kw = dict(device='cpu', num_images_per_prompt=1, do_classifier_free_guidance=False)
            embeds = pipe.encode_prompt([prompt]*len(seeds), **kw)[0]
        scaled = scheduler.scale_model_input(x, t)
        out = pipe.unet(scaled, t, encoder_hidden_states=embeds, return_dict=False)[0]
        x = scheduler.step(out, t, x, return_dict=False)[0]
    image = student.vae.decode(x/student.vae.config.scaling_factor, return_dict=False)[0]
    return (image/2 + .5).clamp(0, 1)

def compare(name, base, student, prompt, seeds, repeats):
    "One line: seconds of each, their ratio, evaluations, the largest difference of a picture's value"
    b, s = Diffuser.load(base), Diffuser.load(student)
    ours = lambda: hybrid(b, s, prompt, seeds, student_steps=4)
    theirs = lambda: notebook(base, student, prompt, seeds)
    with Counter(base.unet, student.unet) as n: images = theirs()
    r = ours()
    gap = (r.images-images).abs().max().item()
    single = lambda: alone(s, prompt, seeds, steps=4)
    (o, o0, o1), (t, t0, t1), (q, _, _) = seconds([ours, theirs, single], repeats)
    print(f'{name:<8} ours {o:6.3f} s ({o0:.3f}–{o1:.3f})   notebook {t:6.3f} s ({t0:.3f}–{t1:.3f})   '
          f'ours/notebook {o/t:4.2f}   evaluations {r.evaluations} and {n.n//len(seeds)}   '
          f'largest difference {gap:.1e}', flush=True)
    print(f'{"":<8} the student alone, same loop: {q:.3f} s   hybrid/student {o/q:4.2f}', flush=True)

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--repeats', type=int, default=5)
    p.add_argument('--pictures', type=int, default=8)
    a = p.parse_args()
    pairs = {'tiny': [tiny('sd', seed=i) for i in (1, 2)]}
    if {'doodle', 'doodle-turbo'} <= set(shipped()):
        from diffusers import StableDiffusionPipeline
        pairs['doodle'] = [StableDiffusionPipeline.from_pretrained(shipped()[o]).to(torch.float32)
                           for o in ('doodle', 'doodle-turbo')]
    print(f'{a.pictures} pictures, steps {GRID}, the first by the base, {torch.get_num_threads()} threads')
    for name, pair in pairs.items(): compare(name, *pair, 'a person', list(range(a.pictures)), a.repeats)
