// SPDX-License-Identifier: MIT
// Search in words.js: a part of a page is found when it has every word that is typed; those with a word in their
// heading come first. With no script the book reads as well; only this is missing.
"use strict";
const MOST = 20;
const field = document.getElementById("search");
const list = document.getElementById("found");

function find(typed) {
    const wanted = typed.toLowerCase().split(/\s+/).filter(Boolean);
    if (wanted.length === 0) {
        return [];
    }
    const found = [];
    for (const [link, title, heading, text] of words) {
        const head = (title + " " + heading).toLowerCase();
        const all = head + " " + text.toLowerCase();
        if (wanted.every((word) => all.includes(word))) {
            found.push({ link, title, heading, text, weight: wanted.filter((word) => head.includes(word)).length });
        }
    }
    return found.sort((a, b) => b.weight - a.weight).slice(0, MOST);
}

function show() {
    list.replaceChildren(...find(field.value).map((each) => {
        const item = document.createElement("li"), link = document.createElement("a"), small = document.createElement("small");
        const at = Math.max(0, each.text.toLowerCase().indexOf(field.value.trim().toLowerCase().split(/\s+/)[0]) - 40);
        link.href = field.dataset.up + each.link;
        link.textContent = each.heading === each.title ? each.title : each.title + ": " + each.heading;
        small.textContent = each.text.slice(at, at + 120);
        link.append(small);
        item.append(link);
        return item;
    }));
}

field.addEventListener("input", show);
document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== field) {
        event.preventDefault();
        field.focus();
    } else if (event.key === "Escape") {
        field.value = "";
        show();
    } else if (event.key === "Enter" && document.activeElement === field && list.querySelector("a")) {
        location.href = list.querySelector("a").href;
    }
});
