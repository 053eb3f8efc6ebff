/* The lab's words in two languages. */

import { register } from "./strings.js";

const en = {
  "lab.lead": "Two networks duel in the plane. The generator turns random numbers into red points; the discriminator tells them from the blue ones. This is the package's own engine: what you see here is what you get there.",
  "lab.to-tour": "New to this? Take the tour.",
  "lab.starting": "Starting the engine …", "lab.closed": "The lab is closed.",
  "lab.controls": "Playing", "lab.play": "Play", "lab.pause": "Pause", "lab.pace": "Pace",
  "lab.pace.slow": "2 rounds a second", "lab.pace.steady": "25 rounds a second", "lab.pace.full": "Full speed",
  "lab.step.discriminator": "Step D", "lab.step.generator": "Step G", "lab.step.both": "Step both",
  "lab.again": "Begin again", "lab.other": "Other chance",
  "lab.round": "round {round}", "lab.rate": "{rate} a second",
  "lab.layer.heat": "what D thinks", "lab.layer.lines": "what G bends", "lab.layer.real": "real", "lab.layer.fakes": "fake", "lab.layer.pushes": "pushes on fakes",
  "lab.plane": "The plane in round {round}; Jensen-Shannon divergence {js}", "lab.plane.drawing": "Drawing: {count} points. Arrow keys move, space sets a point.",
  "lab.sets": "Imitate", "lab.data.one": "One cloud", "lab.data.two": "Two clouds", "lab.data.ring": "Ring of 8", "lab.data.grid": "Grid of 25",
  "lab.data.lines": "Lines", "lab.data.swiss-roll": "Swiss roll", "lab.data.wall": "Far wall", "lab.data.drawn": "Draw your own",
  "lab.draw.how": "Draw in the plane with mouse or finger; or move with the arrow keys (shift: further) and set points with space. The duel begins anew after every stroke.",
  "lab.draw.clear": "Clear", "lab.draw.done": "Done",
  "lab.break": "Break it", "lab.sick.collapse": "Mode collapse", "lab.sick.oscillation": "Oscillation", "lab.sick.vanishing": "Vanishing gradient", "lab.usual": "Usual settings",
  "lab.doctor": "The doctor", "lab.doctor.early": "The doctor looks every {look} rounds; the first rounds say nothing yet.", "lab.doctor.healthy": "Nothing is wrong, after {looks} looks.",
  "lab.since": "since round {round}", "lab.cure": "Cure and begin again", "lab.cure.on": "Cure and go on", "lab.no-cure": "There is no setting of the lab that it would change.",
  "lab.measures": "How far apart", "lab.measures.how": "Of 2,000 points each. Dashed: what other real points score. KL and JS are of clouds blurred by 1/48 of the plane, in nats; Wasserstein is the mean over 32 directions, scaled so that a shift by d reads d.",
  "lab.chart.kl": "KL divergence", "lab.chart.js": "Jensen-Shannon", "lab.chart.wasserstein": "Wasserstein", "lab.chart.modes": "Modes captured", "lab.chart.losses": "Losses", "lab.chart.push": "Push on a fake",
  "lab.chart.kl.help": "Blue, KL(real to fake): high where something real is never made. Red, KL(fake to real): high where something is made that is not real.",
  "lab.chart.js.help": "0 for the same distribution; at most log 2 = 0.693 nats, as soon as the two do not overlap, however far apart they are.",
  "lab.chart.wasserstein.help": "How far the fakes would have to be carried to become the real ones.",
  "lab.chart.modes.help": "Clouds that at least one fake lies in, within three standard deviations.",
  "lab.chart.losses.help": "What the two players minimise. They say who is ahead, not how good the fakes are.",
  "lab.chart.push.help": "Median length of the arrows: how strongly the generator's loss pulls at a fake.",
  "lab.line.kl": "real, not made", "lab.line.reverse kl": "made, not real", "lab.line.discriminator/objective": "D", "lab.line.generator/objective": "G",
  "lab.settings": "Settings", "lab.help": "Point at a setting, and this line says what it is. Changes take effect at once; other networks begin anew.",
  "lab.group.objective": "Objective", "lab.group.rates": "Pace of learning", "lab.group.smooth": "What keeps D smooth", "lab.group.networks": "Networks and the rest", "lab.more": "More",
  "lab.command": "On the command line", "lab.command.how": "The same numbers for a real run. (Its ring has narrower modes; any set of points will do.)",
  "lab.set.objective": "objective", "lab.set.generator.lr": "G learning rate", "lab.set.discriminator.lr": "D learning rate", "lab.set.discriminator_steps": "steps of D per round",
  "lab.set.generator.beta1": "G momentum (beta1)", "lab.set.discriminator.beta1": "D momentum (beta1)", "lab.set.generator.beta2": "G beta2", "lab.set.discriminator.beta2": "D beta2",
  "lab.set.penalty.r1": "R1 (real)", "lab.set.penalty.r2": "R2 (fake)", "lab.set.penalty.gradient": "gradient penalty", "lab.set.penalty.dragan": "DRAGAN", "lab.set.penalty.clip": "clip weights at", "lab.set.spectral_norm": "spectral norm",
  "lab.set.penalty.centre": "penalty: wanted slope", "lab.set.penalty.one_sided": "penalty: one-sided", "lab.set.penalty.difference": "R1, R2 by differences", "lab.set.penalty.every": "penalties every … rounds",
  "lab.set.batch": "batch", "lab.set.latent": "latent numbers", "lab.set.uniform": "uniform latents", "lab.set.hidden": "G layers", "lab.set.discriminator_hidden": "D layers", "lab.set.batch_norm": "batch norm in G", "lab.set.fourier": "random waves for D", "lab.set.frequency": "their frequency",
  "lab.help.spectral_norm": "Divides every layer of the discriminator by its largest stretch, so that its slope is bounded.",
};

const zh = {
  "lab.lead": "两个网络在平面上对决：生成器把随机数变成红点，判别器要把红点和蓝点分开。这里运行的就是本软件包自己的训练引擎，在这里看到什么，实际训练就是什么。",
  "lab.to-tour": "第一次来？先跟着导览走一遍。",
  "lab.starting": "正在启动引擎……", "lab.closed": "实验室已关闭。",
  "lab.controls": "播放控制", "lab.play": "播放", "lab.pause": "暂停", "lab.pace": "速度",
  "lab.pace.slow": "每秒 2 轮", "lab.pace.steady": "每秒 25 轮", "lab.pace.full": "全速",
  "lab.step.discriminator": "判别器走一步", "lab.step.generator": "生成器走一步", "lab.step.both": "各走一步",
  "lab.again": "重新开始", "lab.other": "换个随机种子",
  "lab.round": "第 {round} 轮", "lab.rate": "每秒 {rate} 轮",
  "lab.layer.heat": "判别器的看法", "lab.layer.lines": "生成器弯折的网格", "lab.layer.real": "真实点", "lab.layer.fakes": "生成点", "lab.layer.pushes": "生成点受到的推力",
  "lab.plane": "第 {round} 轮的平面；JS 散度 {js}", "lab.plane.drawing": "正在绘制：{count} 个点。方向键移动，空格键放点。",
  "lab.sets": "模仿对象", "lab.data.one": "一团点", "lab.data.two": "两团点", "lab.data.ring": "八团成环", "lab.data.grid": "25 团网格",
  "lab.data.lines": "两条线", "lab.data.swiss-roll": "瑞士卷", "lab.data.wall": "远处的墙", "lab.data.drawn": "自己画",
  "lab.draw.how": "用鼠标或手指在平面上画；也可以用方向键移动（按住 Shift 走得更远），用空格键放点。每画完一笔，对决就重新开始。",
  "lab.draw.clear": "清空", "lab.draw.done": "画好了",
  "lab.break": "故意弄坏", "lab.sick.collapse": "模式崩溃", "lab.sick.oscillation": "振荡", "lab.sick.vanishing": "梯度消失", "lab.usual": "恢复常用设置",
  "lab.doctor": "医生", "lab.doctor.early": "医生每 {look} 轮检查一次；最初的几轮还说明不了什么。", "lab.doctor.healthy": "检查了 {looks} 次，没有发现问题。",
  "lab.since": "从第 {round} 轮起", "lab.cure": "对症修改，重新开始", "lab.cure.on": "对症修改，接着训练", "lab.no-cure": "实验室里没有可以对症修改的设置。",
  "lab.measures": "相差多远", "lab.measures.how": "各取 2000 个点。虚线：换一批真实点的得分。KL 与 JS 把点云按平面的 1/48 模糊后计算，单位为奈特；Wasserstein 取 32 个方向的平均，并换算成：整体平移 d，读数就是 d。",
  "lab.chart.kl": "KL 散度", "lab.chart.js": "JS 散度", "lab.chart.wasserstein": "Wasserstein 距离", "lab.chart.modes": "覆盖的模式", "lab.chart.losses": "损失", "lab.chart.push": "生成点受到的推力",
  "lab.chart.kl.help": "蓝线 KL(真‖假)：有真实数据从未被生成时变大。红线 KL(假‖真)：生成了不真实的东西时变大。",
  "lab.chart.js.help": "两个分布相同时为 0；只要两者不重叠，无论相隔多远都是最大值 log 2 = 0.693 奈特。",
  "lab.chart.wasserstein.help": "要把生成点搬多远，才能变成真实点。",
  "lab.chart.modes.help": "至少有一个生成点落在三倍标准差以内的团数。",
  "lab.chart.losses.help": "双方各自要减小的量。它说明谁占上风，不说明生成得好不好。",
  "lab.chart.push.help": "箭头长度的中位数：生成器的损失有多用力地拉动一个生成点。",
  "lab.line.kl": "真而未生成", "lab.line.reverse kl": "生成而不真", "lab.line.discriminator/objective": "判别器", "lab.line.generator/objective": "生成器",
  "lab.settings": "设置", "lab.help": "指向任一设置，这里会说明它的含义。改动立即生效；改动网络结构则会重新开始。",
  "lab.group.objective": "目标函数", "lab.group.rates": "学习快慢", "lab.group.smooth": "让判别器保持平滑", "lab.group.networks": "网络与其他", "lab.more": "更多",
  "lab.command": "对应的命令行", "lab.command.how": "用同样的数值正式训练。（命令行里的 ring 每团更窄；换成任何点集都可以。）",
  "lab.set.objective": "目标函数", "lab.set.generator.lr": "生成器学习率", "lab.set.discriminator.lr": "判别器学习率", "lab.set.discriminator_steps": "每轮判别器步数",
  "lab.set.generator.beta1": "生成器动量 (beta1)", "lab.set.discriminator.beta1": "判别器动量 (beta1)", "lab.set.generator.beta2": "生成器 beta2", "lab.set.discriminator.beta2": "判别器 beta2",
  "lab.set.penalty.r1": "R1（真实点）", "lab.set.penalty.r2": "R2（生成点）", "lab.set.penalty.gradient": "梯度惩罚", "lab.set.penalty.dragan": "DRAGAN", "lab.set.penalty.clip": "权重裁剪到", "lab.set.spectral_norm": "谱归一化",
  "lab.set.penalty.centre": "梯度惩罚的目标斜率", "lab.set.penalty.one_sided": "梯度惩罚只罚过大", "lab.set.penalty.difference": "用差分算 R1、R2", "lab.set.penalty.every": "每几轮惩罚一次",
  "lab.set.batch": "批大小", "lab.set.latent": "潜变量个数", "lab.set.uniform": "均匀分布的潜变量", "lab.set.hidden": "生成器各层宽度", "lab.set.discriminator_hidden": "判别器各层宽度", "lab.set.batch_norm": "生成器用批归一化", "lab.set.fourier": "给判别器的随机波", "lab.set.frequency": "随机波的频率",
  "lab.help.penalty.r1": "R1 的系数：惩罚判别器在真实点处的梯度（平方的一半）。常用 0.1 到 10。",
  "lab.help.penalty.r2": "R2 的系数：惩罚判别器在生成点处的梯度。用相对式目标时 R1 与 R2 一起用，取同样大小。",
  "lab.help.penalty.gradient": "梯度惩罚的系数：在真实点与生成点之间，让梯度长度接近目标值（WGAN-GP 取 10）。",
  "lab.help.penalty.centre": "梯度惩罚希望梯度有多长。", "lab.help.penalty.one_sided": "只惩罚过长的梯度，放过较短的。",
  "lab.help.penalty.dragan": "DRAGAN 的系数：只在真实点周围惩罚梯度。常用 10。",
  "lab.help.penalty.difference": "用有限差分计算 R1 和 R2：更快，噪声更大，不需要二阶导数。",
  "lab.help.penalty.clip": "把判别器的每个权重限制在正负这个数以内（WGAN 原文 0.01）。",
  "lab.help.penalty.every": "每隔几轮才惩罚一次，力度相应加大；不能与相对式目标一起用。",
  "lab.help.generator.lr": "生成器每一步走多远。", "lab.help.discriminator.lr": "判别器每一步走多远。",
  "lab.help.generator.beta1": "保留多少旧梯度。GAN 里宜小：动量大了容易绕圈。", "lab.help.discriminator.beta1": "保留多少旧梯度。GAN 里宜小：动量大了容易绕圈。",
  "lab.help.generator.beta2": "保留多少旧的梯度平方。", "lab.help.discriminator.beta2": "保留多少旧的梯度平方。",
  "lab.help.discriminator_steps": "生成器每走一步，判别器走几步。", "lab.help.batch": "每一步看多少个真实点。",
  "lab.help.latent": "每个样本由几个随机数生成。只有 1 个或 2 个时能画出网格。", "lab.help.uniform": "潜变量取 [-1, 1] 上的均匀分布，而不是正态分布。",
  "lab.help.hidden": "生成器各隐藏层的宽度。", "lab.help.discriminator_hidden": "判别器各隐藏层的宽度。", "lab.help.spectral_norm": "把判别器的每一层除以它最大的拉伸倍数，斜率就有了上界。",
  "lab.help.batch_norm": "在生成器里使用批归一化。", "lab.help.fourier": "除坐标外，再给判别器看多少个随机正弦波；0 表示没有。", "lab.help.frequency": "这些波的角频率，大约取要分辨的宽度的倒数。",
};

/* objective -> what it is, in one sentence. Names ending in -alternative are made from the ones they belong to. */
const OBJECTIVES = {
  "non-saturating": ["The generator maximises log D(fake): it is pulled hardest where it is worst. Goodfellow 2014.", "生成器最大化 log D(假)：越差的地方拉力越大，不会饱和。Goodfellow 2014。"],
  minimax: ["Both players act on the same value. A sure discriminator leaves the generator without a gradient. Goodfellow 2014.", "双方争夺同一个值。判别器一旦有把握，生成器就得不到梯度。Goodfellow 2014。"],
  "least-squares": ["Scores are pulled to 1 and 0 by squares; what is too good is pulled back. Mao 2017.", "用平方误差把得分拉向 1 和 0；过好的也会被拉回来。Mao 2017。"],
  hinge: ["The discriminator stops caring beyond a margin; the generator is pulled evenly everywhere. Lim 2017.", "判别器超过间隔就不再计较；生成器处处受到同样的拉力。Lim 2017。"],
  wasserstein: ["The difference of mean scores: an earth mover's distance, if the slope is bounded. It needs a gradient penalty, clipping or spectral norm. Arjovsky 2017.", "平均得分之差：斜率有界时就是推土机距离。需要梯度惩罚、权重裁剪或谱归一化。Arjovsky 2017。"],
  relativistic: ["Which of a pair is the real one? Together with R1 and R2 it keeps modes. Jolicoeur-Martineau 2019, Huang 2024.", "一对样本里哪个是真的？与 R1、R2 合用能留住各个模式。Jolicoeur-Martineau 2019，Huang 2024。"],
  "relativistic-average": ["Is a sample more real than the average of the other kind? Jolicoeur-Martineau 2019.", "一个样本是否比另一类的平均更真？Jolicoeur-Martineau 2019。"],
  "total-variation": ["Half the area between the two densities; blind beyond a point.", "两个密度之间面积的一半；分得太开就看不见差别。"],
  kl: ["KL(real to fake): covers everything that is real, and fills the valleys between.", "KL(真‖假)：宁可把中间的空隙填上，也要覆盖所有真实数据。"],
  "reverse-kl": ["KL(fake to real): makes nothing that is not real, and rather leaves a mode out.", "KL(假‖真)：不生成不真实的东西，宁可漏掉一个模式。"],
  pearson: ["Pearson's chi-squared: squares of the difference over the fake density.", "皮尔逊卡方散度：差的平方除以生成密度。"],
  neyman: ["Neyman's chi-squared: squares of the difference over the real density.", "奈曼卡方散度：差的平方除以真实密度。"],
  "squared-hellinger": ["Squared Hellinger distance: of the roots of the densities; symmetric and bounded.", "平方海林格距离：比较密度的平方根；对称且有界。"],
  jeffrey: ["Both KL divergences together.", "两个方向的 KL 散度之和。"],
  "jensen-shannon": ["Of each to the middle of both: symmetric, bounded, blind where they do not overlap.", "各自到二者中点的散度：对称、有界，不重叠时就看不见距离。"],
  gan: ["The value of Goodfellow's game: Jensen-Shannon less log 4.", "Goodfellow 博弈的值：JS 散度减去 log 4。"],
};
for (const [name, [english, chinese]] of Object.entries(OBJECTIVES)) {
  en["lab.objective." + name] = english;
  zh["lab.objective." + name] = chinese;
  en[`lab.objective.${name}-alternative`] = english + " Here the generator raises E[T] instead, which does not saturate. Nowozin 2016.";
  zh[`lab.objective.${name}-alternative`] = chinese + "这里改为让生成器提高 E[T]，不会饱和。Nowozin 2016。";
}
/* An English help where the recipe has its own is not needed here: the page shows the recipe's. */
for (const key of Object.keys(zh)) if (key.startsWith("lab.help.") && !(key in en)) en[key] = key;

/* The doctor's kinds: name and meaning. English readers have the doctor's own words. */
const KINDS = {
  divergence: ["发散", "数值失去控制：步子太大，或者得分无限增长。"],
  "wrong range": ["数值范围不对", "数据的尺度不合适，或者生成的数值超出了数据的范围。"],
  "not learning": ["没有在学", "有一方几乎一动不动。"],
  "average lags": ["平均权重落后", "平均后的权重比当前权重差得多。"],
  "vanishing gradient": ["梯度消失", "判别器十拿九稳，生成器收不到任何可学的信号。"],
  "data too small": ["数据太少", "判别器把训练样本背下来了。"],
  memorising: ["死记硬背", "判别器或生成器在记忆训练样本。"],
  "mode collapse": ["模式崩溃", "生成的样本几乎一模一样，丢掉了数据的多样性。"],
  "discriminator winning": ["判别器压倒", "判别器总是判对，而样本不再变好。"],
  "discriminator losing": ["判别器太弱", "样本明显不像，判别器却分不出来。"],
  oscillation: ["振荡", "样本整体跑来跑去，绕着数据打转，却不靠拢。"],
  "mode dropping": ["模式丢失", "样本落在数据上，但有些部分从来没有生成过。"],
  "labels ignored": ["忽略标签", "换一个标签，样本几乎不变。"],
  "dead layers": ["失活的层", "有些层再也收不到梯度。"],
  "worse after the best": ["越练越差", "最好的时候已经过去了。"],
  plateau: ["停滞", "离数据还很远，却长时间没有靠近。"],
};
for (const [kind, [name, meaning]] of Object.entries(KINDS)) {
  en["lab.kind." + kind] = kind;
  en["lab.meaning." + kind] = kind;
  zh["lab.kind." + kind] = name;
  zh["lab.meaning." + kind] = meaning;
}

register({ en, zh });
