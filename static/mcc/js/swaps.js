// Two ways to swap that make an event harmless when it comes twice. The target is a list, the content its elements:
// "upsert" puts each in the place of the element with its id, or at the end; "insert" adds only those that are missing.
function place(style, list, fragment) {
  if (style !== 'upsert' && style !== 'insert') return false;
  const added = [];
  for (const element of [...fragment.children]) {
    const present = document.getElementById(element.id);
    if (!present) { list.append(element); added.push(element); }
    else if (style === 'upsert') htmx.swap({ sourceElement: present, target: present, swap: 'outerMorph', text: element.outerHTML });
  }
  return added;
}

htmx.registerExtension('lists', { handle_swap: place });
