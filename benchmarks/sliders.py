"""A step of our slider training beside a transcription of the published one: same model, prompts, process.

The published step draws k from 1 to 49, walks k steps of a 50-step grid from noise with the slider on,
guided; asks the frozen model for positive, neutral and opposite at the state it reached; asks the slider's
model for the target; and takes one step of AdamW. Each answer is asked for twice, with and without prompt,
also where the guidance is 1: 58 samples forward on average, 2 back. Ours learns at every state of a walk
instead of beginning anew. Layers, rank, learning rate, strength and the single sample a step are the same.
Both then move an attribute that the zoo's reader measures: ours must be 5 times as fast, and its effect at
most a tenth smaller."""
import argparse, random, time
import torch, torch.nn.functional as F
from transformers.utils import logging
from interp_nb.core.adapters import Adapter
from interp_nb.core.diffuser import Diffuser
from interp_nb.core.effects import paired
from interp_nb.core.hub import shipped
from interp_nb.diffusion.calibration import read_attribute, sweep
from interp_nb.diffusion.panel import panel
from interp_nb.diffusion.sliders import train_slider

WORDS = dict(target='a person', positive='an old person', negative='a young person')


class Clock:
    "Seconds, processor seconds, and samples that went through a network while inside"
    def __init__(self, d): self.d, self.forward, self.back = d, 0, 0
    def add(self, net, args, out):
        self.forward += len(args[0]); self.back += len(args[0])*torch.is_grad_enabled()
    def __enter__(self):
        self.hook = self.d.denoiser.register_forward_hook(self.add)
        self.wall, self.cpu = time.perf_counter(), time.process_time(); return self
    def __exit__(self, *_):
        self.wall, self.cpu = time.perf_counter()-self.wall, time.process_time()-self.cpu
        self.hook.remove()

def predict(unet, scheduler, t, x, pair, guidance):
    "The trainers' one way to ask: both texts in a batch, whatever the guidance"
    both = scheduler.scale_model_input(torch.cat([x]*2), t)
    u, c = unet(both, t, encoder_hidden_states=pair).sample.chunk(2)
    return u + guidance*(c-u)

def published(d, steps, lr, eta, sites, rank, alpha, seed=0, grid=50):
    "Text slider as published, defects included: the noise level that the network is told is not the latents'"
    from diffusers import DDIMScheduler
    scheduler = DDIMScheduler.from_config(d.pipe.scheduler.config, timestep_spacing='leading', steps_offset=0)
    text = {k: d.encode(v).embeds for k,v in WORDS.items()}
    roles = dict(target='target', positive='positive', neutral='target', opposite='negative')
    pair = {k: torch.cat([text['negative'], text[v]]) for k,v in roles.items()}
    def ask(role, t, x, guidance): return predict(d.denoiser, scheduler, t, x, pair[role], guidance)
    adapter = Adapter.new(d, sites, rank, alpha, seed)
    optimizer = torch.optim.AdamW([p for p in adapter.parameters() if p.requires_grad], lr)
    d.denoiser.requires_grad_(False)
    g, dice = torch.Generator().manual_seed(seed), random.Random(seed)
    with adapter.attach(d) as slider:
        for _ in range(steps):
            with torch.no_grad():
                scheduler.set_timesteps(grid)
                k, slider.scale = dice.randint(1, grid-1), 1.
                x = torch.randn(d.noise(0).shape, generator=g)*scheduler.init_noise_sigma
                for t in scheduler.timesteps[:k]:
                    x = scheduler.step(ask('target', t, x, 3.), t, x).prev_sample
                scheduler.set_timesteps(1000)
                t, slider.scale = scheduler.timesteps[k*1000//grid], 0.
                positive, neutral, opposite = (ask(o, t, x, 1.) for o in ('positive', 'neutral', 'opposite'))
            slider.scale = 1.
            answer = ask('target', t, x, 1.)
            loss = F.mse_loss(answer, neutral + eta*(positive-opposite))
            optimizer.zero_grad(); loss.backward(); optimizer.step()
    return adapter.requires_grad_(False)

def ours(d, steps, **how):
    "The same, on states of one walk after the other"
    return train_slider(d, **WORDS, **how, steps=steps, batch=1, symmetric=False, stop_early=False,
        quiet=True)

def moved(d, adapter, seeds):
    "How far scale 1 moves the age of each seed's picture, in standard deviations of the world"
    s = sweep(d, adapter, WORDS['target'], [1.], seeds, read_attribute('age'), steps=10, guidance=3.)
    return (s.values['age'][-1]-s.values['age'][0]).numpy()

def redraw(d, student, adapters, repeats=3):
    "Seconds that a change in the live panel takes, with all sliders on"
    w = panel(dict(student=student, base=d), adapters, 'a person')
    try:
        for name in w.desk.models:
            times = []
            for i in range(repeats+1):
                scales = {k: .5+.1*i for k in adapters}
                since = time.perf_counter(); w.desk.draw('a person', i, scales, name)
                times.append(time.perf_counter()-since)
            print(f'panel: a change with {len(adapters)} sliders on, {w.desk.how[name]["steps"]} steps '
                  f'of the {name}: {min(times[1:]):.2f}–{max(times[1:]):.2f} s', flush=True)
    finally: w.close()

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--steps', type=int, default=100, help='of either training')
    p.add_argument('--pictures', type=int, default=32, help='by which the effects are compared')
    a = p.parse_args()
    logging.disable_progress_bar()
    if not {'doodle', 'doodle-turbo', 'doodle-reader'} <= set(shipped()):
        raise SystemExit('this needs the zoo: doodle, doodle-turbo, doodle-reader')
    d, how = Diffuser.load('doodle'), dict(sites='attention', rank=4, alpha=4., lr=2e-3, eta=1.)
    print(f'{a.steps} steps of one sample, {torch.get_num_threads()} threads')
    ways, trained, clocks = dict(published=published, ours=ours), {}, {}
    for name, f in ways.items():
        with Clock(d) as c: trained[name] = f(d, a.steps, **how)
        clocks[name], n = c, a.steps
        print(f'{name:<10} {c.wall/n:6.3f} s a step ({c.cpu/n:.3f} s of processor), '
              f'{c.forward/n:.1f} samples forward and {c.back/n:.1f} back', flush=True)
    p, o = clocks['published'], clocks['ours']
    print(f'published/ours {p.wall/o.wall:.1f} (processor {p.cpu/o.cpu:.1f}); asked for: 5')
    x, y = (moved(d, trained[k], range(100, 100+a.pictures)) for k in ('ours', 'published'))
    gap = paired(x/y.mean(), y/y.mean(), unit='seed')
    print(f'effect of scale 1 on age, standard deviations: ours {x.mean():.2f}, published {y.mean():.2f}; '
          f'relative difference {gap}; asked for: above -0.1')
    redraw(d, Diffuser.load('doodle-turbo'), trained)
