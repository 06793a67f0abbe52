/* How far is the sweep now? Asked every two seconds while the page is looked at. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    const section = document.querySelector(".taskrouting-sweep");
    if (!section || section.dataset.running !== "yes") {
        return;
    }
    const reload = section.querySelector(".taskrouting-reload");
    reload.hidden = true;

    function show(told) {
        for (const figure of section.querySelectorAll("[data-figure]")) {
            const value = String(told[figure.dataset.figure]);
            const text = figure.dataset.html ? new DOMParser().parseFromString(value, "text/html").body.textContent : value;
            if (figure.textContent !== text) {
                figure.textContent = text;
            }
            if (figure.classList.contains("errornote")) {
                figure.hidden = value === "";
            }
        }
        const bar = section.querySelector("[data-bar]");
        bar.max = told.most;
        bar.value = told.done;
    }

    async function look() {
        if (!document.hidden) {
            try {
                const answer = await fetch(section.dataset.address, {headers: {Accept: "application/json"}});
                if (answer.ok) {
                    const told = await answer.json();
                    if (!told.running) {
                        location.reload();
                        return;
                    }
                    show(told);
                } else {
                    reload.hidden = false;
                }
            } catch {
                reload.hidden = false;
            }
        }
        setTimeout(look, 2000);
    }

    setTimeout(look, 1000);
});
