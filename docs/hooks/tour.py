"""The tour's pages, in English and Chinese, made of the strings that the studio's own tour shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

WORDS = Path(__file__).parents[2] / "src" / "sparring" / "studio" / "static" / "tour_words.js"
FRAME = {
    "en": {
        "title": "The tour in ten steps",
        "how": "Each step has a live lab beside it: `pip install 'sparring[studio]'`, then `sparring studio`, and "
        "**Tour**. Here is what it tells. [中文](zh.md)",
        "try": "Try",
        "acts": "Buttons:",
        "see": "What it shows",
        "picture": "Step 6: the gradient has vanished, and the doctor says so",
    },
    "zh": {
        "title": "十步导览",
        "how": "每一步旁边都有一个能动手的实验室：先 `pip install 'sparring[studio]'`，再 `sparring studio`，点“导览”。"
        "这里是它的讲解。[English](en.md)",
        "try": "试一试",
        "acts": "按钮：",
        "see": "看到了什么",
        "picture": "第 6 步：梯度消失了，医生也这么说（图为英文界面）",
    },
}
PICTURED = 6
"""The step that docs/studio/tour.png shows."""


def strings(source: str) -> dict[str, dict[str, str]]:
    """Language -> key -> text, of the calls of `register` in a module of the studio.

    Its strings are written as JSON writes them. ValueError where a language is missing or holds no tour.
    """
    _, *parts = re.split(r"^  (en|zh): \{$", source, flags=re.M)
    pair = re.compile(r'"(tour\.[\w.]+)":\s*("(?:[^"\\]|\\.)*")')
    found = {name: {key: json.loads(text) for key, text in pair.findall(body)}
             for name, body in zip(parts[::2], parts[1::2], strict=True)}  # fmt: skip
    if set(found) != set(FRAME) or len({frozenset(words) for words in found.values()}) != 1 or not found["en"]:
        raise ValueError(f"{WORDS.name} no longer holds the same tour in {' and '.join(FRAME)}")
    return found


def plain(text: str) -> str:
    """Words as they are, whatever Markdown would make of them."""
    return re.sub(r"([\\`*_<\[\]])", r"\\\1", text)


def page(language: str, words: dict[str, str]) -> str:
    """All steps in one language."""
    frame, lines = FRAME[language], list[str]()
    lines += [f"# {frame['title']}", "", frame["how"], ""]
    number = 1
    while f"tour.{number}.title" in words:
        step = {part: words.get(f"tour.{number}.{part}", "") for part in ("title", "text", "try", "see")}
        acts = [words[key] for i in range(1, 9) if (key := f"tour.{number}.act{i}") in words]
        lines += [f"## {number}. {plain(step['title'])}", ""]
        for paragraph in step["text"].split("\n"):
            lines += [plain(paragraph), ""]
        if number == PICTURED:
            lines += [f"![{frame['picture']}](../studio/tour.png)", ""]
        buttons = " ".join(f"`{act}`" for act in acts)
        lines += [f'!!! example "{frame["try"]}"', ""]
        lines += [f"    - {plain(line)}" for line in [*filter(None, step["try"].split("\n"))]]
        lines += [
            "",
            f"    {frame['acts']} {buttons}",
            "",
            f'!!! tip "{frame["see"]}"',
            "",
            f"    {plain(step['see'])}",
            "",
        ]
        number += 1
    return "\n".join(lines)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds both pages."""
    for language, words in strings(WORDS.read_text(encoding="utf-8")).items():
        files.append(File.generated(config, f"tour/{language}.md", content=page(language, words)))
    return files


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Says to browsers and screen readers which page is Chinese."""
    chinese = page.file.src_uri == "tour/zh.md"
    return output.replace('<html lang="en"', '<html lang="zh"', 1) if chinese else output
