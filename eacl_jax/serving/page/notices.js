// Messages next to what they are about, and for those who hear the page.

/** Shows a message below an input (its `ID-error` element), and takes the reader there. */
export function showError(input, message, target = input) {
  const shown = errorOf(input);
  shown.textContent = message;
  shown.classList.toggle("verbatim", isVerbatim(message));
  shown.hidden = false;
  target.setAttribute("aria-invalid", "true");
  target.focus();
  shown.scrollIntoView({ block: "nearest" });
}

/** Whether a message begins with what somebody else wrote, in quotes, so that its first letter stays as it is. */
export function isVerbatim(message) {
  return !/^\p{L}/u.test(message);
}

/** Takes the message back. */
export function hideError(input, target = input) {
  errorOf(input).hidden = true;
  errorOf(input).textContent = "";
  target.removeAttribute("aria-invalid");
}

/** Says something to screen readers when they are free. */
export function announce(message) {
  document.querySelector("#live").textContent = message;
}

function errorOf(input) {
  return document.querySelector(`#${input.getAttribute("aria-describedby").split(" ").at(-1)}`);
}
