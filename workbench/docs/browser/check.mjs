// `node check.mjs SITE OUT`: opens every page of the built site in a real browser, wide and narrow, and says what is wrong:
// errors in the console, requests that fail or leave this machine, pictures that do not load, pages wider than the screen,
// a search that finds nothing. Screenshots go to OUT.
import { createServer } from "node:http";
import { mkdirSync, readFileSync, readdirSync, statSync } from "node:fs";
import { extname, join, normalize, relative } from "node:path";
import { launch } from "./browser.mjs";

const [site, out] = process.argv.slice(2);
const WIDTHS = { wide: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };
const SEARCHED = "replay";
const TYPES = { ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".json": "application/json",
  ".svg": "image/svg+xml", ".png": "image/png", ".xml": "application/xml", ".txt": "text/plain; charset=utf-8" };

const server = createServer((request, response) => {
  const path = normalize(decodeURIComponent(new URL(request.url, "http://here").pathname)).replace(/\/$/, "/index.html");
  try {
    const body = readFileSync(join(site, path));
    response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const root = `http://127.0.0.1:${server.address().port}`;

const pages = readdirSync(site, { recursive: true })
  .filter((name) => name.endsWith(".html") && name !== "404.html" && statSync(join(site, name)).isFile())
  .sort();
mkdirSync(out, { recursive: true });
const problems = [];
const browser = await launch();
try {
  await Promise.all([...Object.entries(WIDTHS).map(([width, viewport]) => lookAtAll(width, viewport)), search(), darkness()]);
} finally {
  await browser.close();
  server.close();
}
console.log(`${pages.length} pages at ${Object.keys(WIDTHS).length} widths, search, dark: ${problems.length} problems`);
for (const problem of problems) console.log(`  ${problem}`);
console.log(`Screenshots: ${relative(process.cwd(), out)}`);
process.exitCode = problems.length ? 1 : 0;

async function opened(viewport, told, options = {}) {
  const context = await browser.newContext({ viewport, ...options });
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && told(`console: ${message.text()}`));
  page.on("pageerror", (error) => told(`script: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(root) && !/^(data|blob):/.test(request.url())) told(`asks elsewhere: ${request.url()}`);
  });
  page.on("response", (response) => response.status() >= 400 && told(`${response.status()}: ${response.url()}`));
  return page;
}

async function lookAtAll(width, viewport) {
  let name = "";
  const page = await opened(viewport, (what) => problems.push(`${name} (${width}): ${what}`));
  for (name of pages) {
    await page.goto(`${root}/${name}`, { waitUntil: "load" });
    const seen = await page.evaluate(() => ({
      title: document.querySelector("h1")?.textContent ?? "",
      overflow: document.documentElement.scrollWidth - window.innerWidth,
      broken: [...document.images].filter((image) => !image.naturalWidth).map((image) => image.src),
    }));
    if (!seen.title) problems.push(`${name} (${width}): no heading`);
    if (seen.overflow > 0) problems.push(`${name} (${width}): ${seen.overflow} px wider than the screen`);
    for (const image of seen.broken) problems.push(`${name} (${width}): ${image} does not load`);
    await page.screenshot({ path: join(out, `${name.replace(/\//g, "-").replace(/html$/, width)}.png`) });
  }
  await page.context().close();
}

async function search() {
  const page = await opened(WIDTHS.wide, (what) => problems.push(`search: ${what}`));
  await page.goto(`${root}/index.html`, { waitUntil: "load" });
  await page.locator("button", { hasText: "Search" }).first().click();
  await page.locator("input:focus").fill(SEARCHED);
  try {
    await page.getByText(/^\d+ results?$/).waitFor({ timeout: 20_000 });
    await page.locator("a:visible", { hasText: new RegExp(SEARCHED, "i") }).first().waitFor({ timeout: 5000 });
  } catch {
    problems.push(`search: nothing is found for ${SEARCHED}`);
  }
  await page.screenshot({ path: join(out, "search.png") });
  await page.context().close();
}

async function darkness() {
  const page = await opened(WIDTHS.wide, (what) => problems.push(`dark: ${what}`), { colorScheme: "dark" });
  await page.goto(`${root}/reference/configuration.html`, { waitUntil: "load" });
  const colour = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = colour.match(/\d+/g).slice(0, 3).map(Number).every((part) => part > 100);
  if (light) problems.push(`dark: the page is ${colour} for a reader who wants it dark`);
  await page.screenshot({ path: join(out, "dark.png") });
  await page.context().close();
}
