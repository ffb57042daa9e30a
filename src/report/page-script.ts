/**
 * What the page does beside the replay: theme, copying, printing. Travels into the report as its own source, so it
 * uses nothing from outside.
 */
export function runPage(): void {
  const root = document.documentElement;
  const button = document.querySelector<HTMLButtonElement>("[data-page=theme]");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const current = () => root.dataset.theme ?? (system.matches ? "dark" : "light");
  const name = () => {
    if (button) button.textContent = current() === "dark" ? "Light" : "Dark";
  };
  // A file opened from disk may have no storage; the choice then lasts as long as the page.
  try {
    const stored = localStorage.getItem("phalanx-theme");
    if (stored === "dark" || stored === "light") root.dataset.theme = stored;
  } catch {}
  if (button) button.hidden = false;
  name();
  system.addEventListener("change", name);
  button?.addEventListener("click", () => {
    root.dataset.theme = current() === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("phalanx-theme", root.dataset.theme);
    } catch {}
    name();
  });

  for (const copy of document.querySelectorAll<HTMLButtonElement>("[data-page=copy]")) {
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      const source = copy.parentElement?.querySelector("pre");
      if (!source) return;
      try {
        await navigator.clipboard.writeText(source.textContent ?? "");
        copy.textContent = "Copied";
      } catch {
        // Without the right to write the clipboard, select the text for the reader's own shortcut.
        getSelection()?.selectAllChildren(source);
        copy.textContent = "Selected";
      }
      setTimeout(() => {
        copy.textContent = "Copy";
      }, 1600);
    });
  }

  // Paper has no triangle to click.
  let opened: HTMLDetailsElement[] = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details")].filter((one) => !one.open);
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
}
