// How does a page with a video that is still being worked on update itself?
//
// While it says that it waits, it asks for its moving part every second and replaces what changed
// in it, piece by piece, so that a video that is playing goes on playing. A hidden tab rests.
"use strict";

const EVERY = 1000; // milliseconds
const AFTER = 5; // more looks once nothing is waited for: the record arrives a moment later

const place = document.querySelector("[data-fragment]");
if (place) {
  let left = place.querySelector("[data-waiting]") ? AFTER : 0;
  let timer = null;

  const pieces = (root) =>
    new Map([...root.querySelectorAll("[data-key]")].map((piece) => [piece.dataset.key, piece]));
  let known = new Map([...pieces(place)].map(([key, piece]) => [key, piece.outerHTML]));

  const update = (fresh) => {
    const shown = pieces(place);
    const parent = place.querySelector("[data-parts]");
    const next = new Map();
    let before = parent.firstElementChild;
    for (const [key, piece] of pieces(fresh)) {
      next.set(key, piece.outerHTML);
      const old = shown.get(key);
      shown.delete(key);
      if (old && known.get(key) === piece.outerHTML) {
        before = old.nextElementSibling;
        continue;
      }
      if (old) old.replaceWith(piece);
      else parent.insertBefore(piece, before);
      before = piece.nextElementSibling;
      say(old, piece);
    }
    for (const gone of shown.values()) gone.remove();
    known = next;
  };

  const say = (old, piece) => {
    if (piece.dataset.said && (!old || old.dataset.said !== piece.dataset.said)) {
      document.getElementById("said").textContent = piece.dataset.said;
    }
  };

  const look = async () => {
    timer = null;
    try {
      const answer = await fetch(place.dataset.fragment, { credentials: "same-origin" });
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        left = fresh.querySelector("[data-waiting]") ? AFTER : left - 1;
        update(fresh);
      }
    } catch (error) {
      console.warn("The page could not be updated; trying again.", error);
    }
    plan();
  };

  const plan = () => {
    if (left > 0 && timer === null && !document.hidden) timer = setTimeout(look, EVERY);
  };

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    timer = null;
    plan();
  });
  plan();
}
