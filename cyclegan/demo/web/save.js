// Saves a file of the server; `gone`: what to say if it is no longer there. A link would be a cancelled download.
async ({ gone }, { url, orig_name: name }) => {
  const response = await fetch(url).catch(() => undefined);
  if (!response?.ok) return gone;
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(await response.blob()), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return "";
}
