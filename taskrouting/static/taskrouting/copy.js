// Copies what stands in a block of code. Without JavaScript the button stays hidden, and one click
// on the code selects all of it.
"use strict";

(() => {
    const select = (code) => {
        const range = document.createRange();
        range.selectNodeContents(code);
        const selection = window.getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
    };

    const copy = async (code) => {
        select(code);
        if (navigator.clipboard) {
            await navigator.clipboard.writeText(code.textContent);
        } else {
            document.execCommand("copy"); // a page that came over plain HTTP
        }
    };

    const begin = () => {
        for (const button of document.querySelectorAll("[data-taskrouting-copy]")) {
            const code = document.getElementById(button.dataset.taskroutingCopy);
            const label = button.textContent;
            button.hidden = false;
            button.addEventListener("click", async () => {
                await copy(code);
                button.textContent = button.dataset.taskroutingDone;
                window.setTimeout(() => { button.textContent = label; }, 2000);
            });
        }
    };

    if (document.readyState === "loading") {
        document.addEventListener("DOMContentLoaded", begin);
    } else {
        begin();
    }
})();
