(() => {
  'use strict';
  document.documentElement.classList.add('js');
  const tip = document.getElementById('tip');
  const texts = new WeakMap();
  // The browser's own tooltip would stand beside ours: its text is taken out when the pointer first comes.
  const textOf = (element) => {
    if (!texts.has(element)) {
      const title = element.querySelector(':scope > title');
      texts.set(element, title ? title.textContent : '');
      if (title) title.remove();
    }
    return texts.get(element);
  };
  const hide = () => tip.classList.remove('on');
  const show = (element, x, y) => {
    tip.textContent = textOf(element);
    tip.classList.add('on');
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(8, Math.min(x + 14, innerWidth - box.width - 8)) + 'px';
    tip.style.top = (y + 18 + box.height > innerHeight ? Math.max(8, y - box.height - 14) : y + 18) + 'px';
  };
  const hair = (event) => {
    const line = document.querySelector('.hair');
    const chart = event.target.closest && event.target.closest('.chart');
    if (!line) return;
    if (!chart) { line.classList.remove('on'); return; }
    const axis = chart.querySelector('.axis svg').getBoundingClientRect();
    const part = (event.clientX - axis.left) / axis.width;
    line.classList.toggle('on', part >= 0 && part <= 1);
    line.classList.toggle('left', part > 0.8);
    line.style.left = event.clientX - chart.getBoundingClientRect().left + 'px';
    const from = Number(chart.dataset.from), to = Number(chart.dataset.to);
    const at = new Date(from + part * (to - from));
    line.firstElementChild.textContent = isNaN(at) ? '' : at.toISOString().slice(11, 19);
  };
  const over = (event) => {
    const element = event.target.closest && event.target.closest('[data-tip]');
    if (element) show(element, event.clientX, event.clientY); else hide();
    hair(event);
  };
  document.addEventListener('pointermove', over);
  document.addEventListener('pointerdown', over);
  document.addEventListener('scroll', hide, true);
  let zoom = '1';
  const press = () => {
    for (const chart of document.querySelectorAll('.chart')) chart.style.setProperty('--zoom', zoom);
    for (const button of document.querySelectorAll('.zoom button')) button.setAttribute('aria-pressed', String(button.dataset.zoom === zoom));
  };
  document.addEventListener('click', (event) => {
    const button = event.target.closest && event.target.closest('[data-zoom]');
    if (button) { zoom = button.dataset.zoom; press(); }
  });
  // The page as it is now takes the place of this one; what is open in it stays open.
  const refresh = async () => {
    let every = Number(document.documentElement.dataset.refresh) * 1000;
    try {
      if (!document.hidden && !tip.classList.contains('on')) {
        const answer = await fetch(location.href, { cache: 'no-store' });
        // The link has expired: the answer says what to do.
        if (answer.status === 403 || answer.status === 410) { location.reload(); return; }
        const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
        const fresh = page.querySelector('main');
        const stale = document.querySelector('main');
        if (answer.ok && fresh && stale) {
          const left = (stale.querySelector('.scroll') || {}).scrollLeft || 0;
          const open = new Set([...stale.querySelectorAll('tr[id] details[open]')].map((details) => details.closest('tr').id));
          stale.replaceWith(document.adoptNode(fresh));
          for (const id of open) { const row = document.getElementById(id); const details = row && row.querySelector('details'); if (details) details.open = true; }
          press();
          const scroll = fresh.querySelector('.scroll');
          if (scroll) scroll.scrollLeft = left;
          document.title = page.title;
          // Nothing more is to come of a recording whose page doesn't ask for it.
          every = Number(page.documentElement.dataset.refresh) * 1000;
        }
      }
    } catch { /* The server is gone or coming back: the page stays as it is. */ }
    if (every) setTimeout(refresh, every);
  };
  if (document.documentElement.dataset.refresh) setTimeout(refresh, Number(document.documentElement.dataset.refresh) * 1000);
})();
