// Elements, made by calls.  What is shown is text and nothing else: no string ever becomes HTML, and
// the policy of the page (trusted types) would not let one.

/**
 * An element: h("td", { class: "number" }, "12").  A property that begins with "on" hears an event,
 * null and false leave an attribute out, true has it without a value.
 */
export function h(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "value") made.value = value;
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((it) => it !== null && it !== undefined && it !== false));
  return made;
}

/** Put children in the place of what an element has. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((it) => it !== null && it !== undefined && it !== false));
  return element;
}

/**
 * As `fill`, where the same is shown again and again: what has not changed stays, with its focus and
 * whoever presses it.  What hears events says in `data-of` of what it is, or it is taken for its like.
 */
export function refresh(element, ...children) {
  const made = fill(element.cloneNode(false), ...children);
  merge(element, made);
  return element;
}

function merge(old, made) {
  if (old.isEqualNode(made)) return;
  const before = [...old.childNodes], after = [...made.childNodes];
  before.slice(after.length).forEach((it) => it.remove());
  after.forEach((it, at) => {
    const kept = before[at];
    if (kept === undefined) old.append(it);
    else if (kept.isEqualNode(it)) return;
    else if (kept.nodeType === Node.ELEMENT_NODE && kept.cloneNode(false).isEqualNode(it.cloneNode(false)) &&
             kept.nodeName !== "BUTTON") merge(kept, it);
    else kept.replaceWith(it);
  });
}

/** A table; a column is a name, or {name, isNumber}. */
export function table(caption, columns, rows) {
  const isNumber = columns.map((it) => it.isNumber === true);
  const heads = columns.map((it, at) =>
    h("th", { scope: "col", class: isNumber[at] && "number" }, it.name ?? it));
  const body = rows.map((row) => h("tr", {}, row.map((cell, at) => {
    const content = Array.isArray(cell) ? cell : [cell ?? "–"];
    return h("td", { class: isNumber[at] && "number" }, content);
  })));
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, heads)), h("tbody", {}, body)));
}

/** A field with its label. */
export function field(label, attributes = {}) {
  const { options, ...rest } = attributes;
  const input = options
    ? h("select", rest, options.map((it) => h("option", { value: it }, it)))
    : h(rest.rows ? "textarea" : "input", rest);
  return { input, element: h("label", { class: "field" }, h("span", {}, label), input) };
}

export const button = (text, onclick, attributes = {}) =>
  h("button", { type: "button", onclick, ...attributes }, text);

/** The command that does the same. */
export const command = (text) => h("p", { class: "command" }, "The same by hand: ", h("code", {}, text));

/** Say what went wrong, or what was done, where everybody hears it. */
export function say(text, isBad = false) {
  const place = document.getElementById("said");
  fill(place, text ? h("p", { class: isBad ? "bad" : "good" }, text,
    button("Close", () => fill(place), { class: "small" })) : []);
}

/** For questions that replace one another: `asked = turns()`, then `isOld = asked()` at each, and
    `isOld()` says whether a later one was asked meanwhile.  Answers come in any order. */
export function turns() {
  let newest = 0;
  return () => {
    const mine = ++newest;
    return () => mine !== newest;
  };
}

/** Do something again and again, until somebody leaves. */
export function every(milliseconds, work, signal) {
  if (signal.aborted) return;
  const timer = setInterval(work, milliseconds);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** Run what a button does; what is refused is said. */
export function doing(work) {
  return async (event) => {
    event?.preventDefault();
    const target = event?.currentTarget;
    if (target) target.disabled = true;
    try {
      await work(event);
    } catch (error) {
      if (error.name !== "AbortError") say(error.message, true);
    } finally {
      if (target) target.disabled = false;
    }
  };
}

/** Ask before something is done, with what will be lost; whether it was agreed to. */
export function agreed(title, lines, verb, word = "") {
  return new Promise((resolve) => {
    const typed = word ? field(`Type ${word} to go on`, { autocomplete: "off" }) : null;
    const yes = button(verb, () => end(true), { class: "danger", disabled: Boolean(word) });
    typed?.input.addEventListener("input", () => { yes.disabled = typed.input.value !== word; });
    const dialog = h("dialog", { "aria-labelledby": "asked" }, h("h2", { id: "asked" }, title),
      lines.map((it) => h("p", {}, it)), typed?.element,
      h("div", { class: "row" }, button("Leave it", () => end(false)), yes));
    function end(isAgreed) {
      dialog.close();
      dialog.remove();
      resolve(isAgreed);
    }
    dialog.addEventListener("cancel", () => end(false));
    document.body.append(dialog);
    dialog.showModal();
  });
}
