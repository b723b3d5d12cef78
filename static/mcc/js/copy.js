// data-copy="text", data-copy-url="/path" (made whole) or data-copy-from="#element": copies, and says so.
import { toast } from './toasts.js';

document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-copy], [data-copy-url], [data-copy-from]');
  if (!button) return;
  const { copy, copyUrl, copyFrom } = button.dataset;
  const text = copy ?? (copyUrl ? location.origin + copyUrl : document.querySelector(copyFrom)?.textContent ?? '');
  try {
    await navigator.clipboard.writeText(text);
    toast('Copied');
  } catch {
    toast('The browser does not allow copying here.', { error: true });
  }
});
