// toast(text, {label, act, error}): one line for four seconds; with an action for eight. Undo instead of "are you sure".
const area = () => document.getElementById('toasts');

const remove = (element, after_ms) => setTimeout(() => element.remove(), after_ms);

export function toast(text, { label = '', act = null, error = false } = {}) {
  const element = document.createElement('div');
  element.className = error ? 'toast bad' : 'toast';
  element.append(text);
  if (act) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = label;
    button.addEventListener('click', () => { element.remove(); act(); });
    element.append(button);
  }
  area()?.append(element);
  remove(element, act ? 8000 : 4000);
}

// Messages that the server wrote into the page (they stay when there is no JavaScript).
for (const element of area()?.querySelectorAll('.toast') ?? []) remove(element, 5000);

// HX-Trigger: {"toast": {"text": …, "url": …, "label": "Undo"}}; the action posts to url.
document.addEventListener('toast', (event) => {
  const { text, url, label = 'Undo', error = false } = event.detail;
  toast(text, url ? { label, act: () => htmx.ajax('POST', url, { swap: 'none' }) } : { error });
});

// Statuses that are not swapped (see htmx-config noSwap) leave the page as it was: say so, and offer to try again.
document.addEventListener('htmx:response:error', ({ detail: { ctx } }) => {
  const status = ctx.response.status;
  if ((status !== 403 && status !== 404 && status < 500) || ctx.hx?.trigger) return; // it brought its own sentence
  const text = { 403: 'You may not do that.', 404: 'That is no longer there.' }[status] ?? 'Something went wrong on the server.';
  toast(text, { error: true, ...(status >= 500 && again(ctx)) });
});
document.addEventListener('htmx:error', ({ detail }) => {
  if (detail.ctx && !detail.ctx.response) toast('The server cannot be reached.', { error: true, ...again(detail.ctx) });
});

function again(ctx) {
  const source = ctx.sourceElement;
  if (!source?.isConnected) return {};
  return { label: 'Try again', act: () => (source.matches('form') ? source.requestSubmit() : source.click()) };
}
