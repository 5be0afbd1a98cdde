// Takes the first paint away once Streamlit shows the page itself, or anything else that a visitor has to see.
{
  const paint = document.getElementById("first-paint");
  const there = [paint.dataset.until, "[data-testid=stAlert]", "[data-testid=stException]", "[role=dialog]"];
  const shown = there.map((what) => `body > :not(#first-paint) ${what}`).join();
  const watch = new MutationObserver(() => document.querySelector(shown) && leave());
  const leave = () => { watch.disconnect(); paint.remove() };
  watch.observe(document.body, { childList: true, subtree: true });
}
