# %% [markdown]
# # Deep networks: two ways to fail, and how far a single draw can be trusted
# %%
from functools import partial

import numpy as np
import pandas as pd

import varprop as vp
from varprop.analytic.spread import width_spread
from varprop.montecarlo.draw_spread import measured_spread
from varprop.plots.depth import by_depth
from varprop.plots.theory import correlation_map, fan, length_map, panels, phase_map, spectrum
from varprop.reporting.pages import publish

Q, P = "preactivation_second_moment", "gradient_preactivation"
LAW = "variance_scaling(scale={}, mode=fan_in, distribution=normal)"


def net(name, phi, scale, width=256, depth=100):
    x = vp.gaussian(width, 1, seed=1)
    return vp.mlp(f"{width}x{depth}", phi, LAW.format(scale), input=x, output_activation=phi, name=name)


he, deceptive = net("relu, He", "relu", 2.0), net("tanh, sigma_w² = 3.58", "tanh", 3.58)
wide = net("relu, He, 4096 x 200", "relu", 2.0, 4096, 200)
narrow = [net("tanh, sigma_w² = 1", "tanh", 1.0), deceptive, he, net("relu, sigma_w² = 1.5", "relu", 1.5)]
# %% Theory, 2000 draws (200 of the wide one), and the verdicts.
predicted = vp.predict([*narrow, wide])
simulated = pd.concat([vp.simulate(narrow, draws=2000, seed=8), vp.simulate(wide, draws=200, seed=8)])
compared = vp.compare(predicted, simulated)
verdicts = pd.crosstab(compared["case"], compared["verdict"]).reset_index()
rows = compared[compared["quantity"].isin([Q, P])][["case", "layer", "quantity", "predicted", "measured", "verdict"]]
# %% The spread of single draws of two of them, and the first-to-last gradient ratio of the deceptive one.
theory = pd.concat([width_spread(n).assign(case=n.case) for n in (he, deceptive)])
drawn = measured_spread(vp.simulate([he, deceptive], draws=400, seed=9, estimator="plain"))
fans = theory.merge(drawn, on=["case", "quantity", "layer"], suffixes=("", "_drawn"))
ends = fans[(fans["case"] == deceptive.case) & (fans["quantity"] == P)].set_index("layer").loc[[100, 1]]
limit = vp.predict(deceptive, order="infinite").query("quantity == @P").set_index("layer")["log_value"]
draws = {f"{n.case}: {q}": partial(fan, theory, drawn, case=n.case, quantity=q) for n, q in ((he, Q), (deceptive, P))}
# %% The Jacobian's spectrum on the edge of chaos at q = 1/64, 20 layers: Gaussian against orthogonal weights.
m = vp.activation("tanh").moments(1 / 64, fields=("second_moment", "derivative_second_moment"))
scale, second = 1 / float(m.derivative_second_moment), float(m.second_moment)
bias, x, spectra = f"normal(std={(1 / 64 - scale * second) ** 0.5})", vp.constant(300, second**0.5), {}
for law, weights in {"gaussian": LAW.format(scale), "orthogonal": f"orthogonal(gain={scale**0.5})"}.items():
    own = vp.mlp("300x20", "tanh", weights, bias, x, output_activation="tanh")
    values = vp.measure_spectrum(own, draws=4)["singular_value"].to_numpy()
    spectra[law] = partial(spectrum, vp.spectral_density("tanh", scale, 20, q=1 / 64, weights=law), values)
# %%
diagram = vp.phase_diagram("tanh", np.linspace(0.5, 4, 50), np.linspace(0, 1, 30))
diagram = diagram[["activation", "weight_variance", "bias_variance", "chi_1", "xi_c"]]
depths = {"forward": partial(by_depth, predicted, simulated, quantity=Q, legend=False)}
depths["backward"] = partial(by_depth, predicted, simulated, quantity=P)
maps = {"length map, sigma_w² = 3.58": partial(length_map, vp.length_curve("tanh", 3.58, start=0.2))}
maps["correlation map, (2.5, 0.05)"] = partial(correlation_map, vp.correlation_curve("tanh", 2.5, 0.05))
maps["edge of chaos"] = partial(phase_map, diagram)
text = f"""
# Deep networks
*What survives a hundred layers, forward and backward, and in a single draw?*
**tanh at sigma_w² = 3.58 holds its signal for ever while the gradient grows by e^{limit[1] - limit[100]:.1f} from the
last layer to the first: a verdict that looks forward only is wrong.**
![Second moment and gradient by layer, theory lines with Monte-Carlo marks, five networks](by_depth)
A network that is level on the left and steep on the right is stable forward and explodes backward.
![Length map with cobweb, correlation map and phase diagram of tanh](maps)
q settles where the map crosses the diagonal; the bright ridge is the edge of chaos.
[verdicts] Rows of theory held against simulation: every quantity of every layer, to depth 200.
![Fans: 5 to 95 % of draws by layer, ReLU forward and tanh backward, theory and 400 draws](fans)
The typical network sinks below the mean, and the fan opens with depth/width.

Over draws of width 256 the log of that ratio is {ends.log_mean.diff()[1]:.1f} ± {ends.log_std[1]:.1f} (mean, deviation)
in theory and {ends.log_mean_drawn.diff()[1]:.1f} ± {ends.log_std_drawn[1]:.1f} in 400 draws.

![Densities of the Jacobian's singular values after 20 layers, Gaussian and orthogonal weights](spectra)
At the same mean square Gaussian weights kill most directions and stretch a few; orthogonal ones keep all near 1.
"""
density = pd.concat(p.args[0].assign(weights=law) for law, p in spectra.items())
figures = {"by_depth": (depths, rows), "maps": (maps, diagram), "fans": (draws, fans), "spectra": (spectra, density)}
pictures = {name: (partial(panels, own), data) for name, (own, data) in figures.items()}
publish("e8_deep_networks", text, **pictures, verdicts=verdicts)
