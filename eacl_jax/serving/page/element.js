// Makes elements. Data gets into the page only here, as text or as an attribute's value, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. `attributes` with the value `false` or `null` are left out; children are elements or texts. */
export function html(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** The text so that its writing direction does not disorder the text around it: for attributes, where no `bdi` can stand. */
export function isolated(text) {
  return `\u2068${text}\u2069`;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
