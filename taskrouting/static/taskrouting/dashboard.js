/* How does the dashboard stay up to date? The changing part is asked for anew, as the server drew it. */
"use strict";

(function () {
    const PAUSE = 5000;
    let paused = false;
    let timer = null;

    function words(live) {
        return Array.from(live.querySelectorAll("[data-told]"), (each) => each.dataset.told);
    }

    /* Put what is new in place of what is there; what was opened and focused stays so. */
    function replace(live, html) {
        const open = Array.from(live.querySelectorAll("details[open]"), (each) => each.id);
        const held = live.contains(document.activeElement) ? document.activeElement : null;
        const scrolled = Array.from(live.querySelectorAll(".taskrouting-scroll"), (each) => [each.scrollLeft, each.scrollTop]);
        const same = held && held.matches("a, summary, [tabindex]")
            ? Array.from(live.querySelectorAll("a, summary, [tabindex]")).indexOf(held)
            : -1;
        live.innerHTML = html;
        open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
        live.querySelectorAll(".taskrouting-scroll").forEach((each, number) => {
            [each.scrollLeft, each.scrollTop] = scrolled[number] || [0, 0];
        });
        if (same >= 0) {
            live.querySelectorAll("a, summary, [tabindex]")[same]?.focus({preventScroll: true});
        }
    }

    /* A screen reader is told what has changed for good or bad, and no ticking number. */
    function tell(before, after) {
        const news = after.filter((each) => !before.includes(each));
        if (news.length) {
            document.getElementById("taskrouting-told").textContent = news.join(", ");
        }
    }

    async function refresh(live) {
        try {
            const response = await fetch(live.dataset.address, {credentials: "same-origin", cache: "no-store"});
            if (!response.ok || response.redirected) {
                throw new Error(String(response.status));
            }
            const html = await response.text();
            if (!paused && !document.hidden) {
                const before = words(live);
                replace(live, html);
                live.classList.remove("taskrouting-stale");
                tell(before, words(live));
            }
        } catch {
            live.classList.add("taskrouting-stale");
            document.getElementById("taskrouting-told").textContent = live.dataset.trouble;
        }
    }

    function schedule(live) {
        clearTimeout(timer);
        if (!paused && !document.hidden) {
            timer = setTimeout(async () => {
                await refresh(live);
                schedule(live);
            }, PAUSE);
        }
    }

    document.addEventListener("DOMContentLoaded", () => {
        const live = document.getElementById("taskrouting-live");
        const button = document.getElementById("taskrouting-pause");
        button.hidden = false;
        button.addEventListener("click", () => {
            paused = !paused;
            button.textContent = paused ? button.dataset.resume : button.dataset.pause;
            schedule(live);
        });
        document.addEventListener("visibilitychange", async () => {
            if (!document.hidden && !paused) {
                await refresh(live);
            }
            schedule(live);
        });
        schedule(live);
    });
})();
