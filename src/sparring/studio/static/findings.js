/* What the doctor of trainings and of data finds, in words for people: a name, and what it means. The sentences with
   the numbers are its own, and the same as on the command line. */

import { el } from "./dom.js";
import { register, t } from "./strings.js";

const words = {
  "divergence": ["Divergence", "The steps are too long: weights or losses run away, and nothing leads back.", "发散", "数值失去控制：步子太大，或者得分无限增长。"],
  "wrong range": ["Wrong range", "Samples live on another scale than the data, so a glance tells them apart.", "数值范围不对", "数据的尺度不合适，或者生成的数值超出了数据的范围。"],
  "not learning": ["Not learning", "After a good while the samples are no nearer to the data than at the start.", "没有在学", "有一方几乎一动不动。"],
  "vanishing gradient": ["Vanishing gradient", "The detective is so sure that it tells the forger nothing about how to improve.", "梯度消失", "判别器十拿九稳，生成器收不到任何可学的信号。"],
  "mode collapse": ["Mode collapse", "The forger makes the same few things again and again.", "模式崩溃", "生成的样本几乎一模一样，丢掉了数据的多样性。"],
  "mode dropping": ["Mode dropping", "Samples look right, but some kinds of the data never appear.", "模式丢失", "样本落在数据上，但有些部分从来没有生成过。"],
  "dead layers": ["Dead layers", "Some layers get no gradient any more and have stopped learning.", "失活的层", "有些层再也收不到梯度。"],
  "plateau": ["Plateau", "Samples are still far from the data and have stopped coming nearer.", "停滞", "离数据还很远，却长时间没有靠近。"],
  "memorising": ["Memorising", "The training samples are learnt by heart; new ones are judged otherwise.", "死记硬背", "判别器或生成器在记忆训练样本。"],
  "data too small": ["Data too small", "There are so few samples that they are learnt by heart.", "数据太少", "判别器把训练样本背下来了。"],
  "discriminator winning": ["Discriminator winning", "The detective is always right, and the forger no longer improves.", "判别器压倒", "判别器总是判对，而样本不再变好。"],
  "discriminator losing": ["Discriminator losing", "The detective cannot tell forgeries that are plainly bad.", "判别器太弱", "样本明显不像，判别器却分不出来。"],
  "oscillation": ["Oscillation", "Forger and detective chase each other in circles; samples wander and do not settle.", "振荡", "样本整体跑来跑去，绕着数据打转，却不靠拢。"],
  "worse after the best": ["Worse after the best", "The best samples were made earlier; training on has made them worse.", "越练越差", "最好的时候已经过去了。"],
  "average lags": ["Average lags", "The averaged weights are behind the weights of now.", "平均权重落后", "平均后的权重比当前权重差得多。"],
  "labels ignored": ["Labels ignored", "Whatever is asked for, the same comes out.", "忽略标签", "换一个标签，样本几乎不变。"],
  "few pictures": ["Few pictures", "With so few, a detective learns them by heart.", "图片太少", "图片这么少，判别器会把它们背下来。"],
  "cannot be judged": ["Cannot be judged", "Too few samples are held out to say how good a result is.", "无法评估", "留出的样本太少，说不清结果有多好。"],
  "small classes": ["Small classes", "Of some classes next to nothing can be learnt.", "类别太小", "有些类别的样本太少，几乎学不到什么。"],
  "unbalanced classes": ["Unbalanced classes", "Some classes are seen far more often than others.", "类别不均衡", "有些类别出现得远多于其他类别。"],
  "bad files": ["Bad files", "Some files cannot be read, and are left out.", "损坏的文件", "有些文件无法读取，训练时会跳过。"],
  "small pictures": ["Small pictures", "Pictures smaller than the size to train at are enlarged, and blur.", "图片过小", "小于训练尺寸的图片会被放大，因而变模糊。"],
  "long pictures": ["Long pictures", "The crop to the size takes much of some pictures away.", "图片过长", "裁剪到训练尺寸会丢掉一些图片的很大一部分。"],
  "held-out copies": ["Held-out copies", "What scores are measured on is also trained on.", "留出集中有副本", "用来评分的样本也出现在训练集中。"],
  "copies": ["Copies", "The same sample is there more than once.", "重复样本", "同一个样本出现了不止一次。"],
  "near-copies": ["Near-copies", "Nearly the same picture is there more than once.", "近似重复", "几乎相同的图片出现了不止一次。"],
  "one colour": ["One colour", "Pictures of nothing but one colour.", "纯色图片", "整张图片只有一种颜色。"],
  "low contrast": ["Low contrast", "There is next to nothing to be seen.", "对比度太低", "几乎什么也看不出来。"],
  "gray as colour": ["Gray as colour", "Three channels say the same.", "灰度存成了彩色", "三个通道的内容完全相同。"],
  "fixed border": ["Fixed border", "The edge is the same in every picture.", "固定边框", "每张图片的边缘都一样。"],
  "not a number": ["Not a number", "Some points hold NaN or infinity.", "不是数字", "有些数据点含有 NaN 或无穷大。"],
  "constant columns": ["Constant columns", "Some columns have one value only.", "常数列", "有些列只有一个值。"],
  "unusual scale": ["Unusual scale", "Values are far larger or smaller than networks like.", "数值尺度异常", "数值远大于或远小于网络所适应的范围。"],
};

for (const [kind, [name, means, named, meaning]] of Object.entries(words)) {
  register({ en: { ["finding." + kind]: name, ["means." + kind]: means }, zh: { ["finding." + kind]: named, ["means." + kind]: meaning } });
}

/* Its heading, and what it means below; a kind that is not known here is called what it is. */
export const named = (kind) => kind in words ? t("finding." + kind) : String(kind ?? "");
export const meaning = (kind) => kind in words ? el("p", { class: "fine" }, t("means." + kind)) : null;
