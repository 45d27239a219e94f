// A headless Chromium: the one of $CHROMIUM, of this machine, or the one that an npm package brings along.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"];

export async function launch() {
  const own = [process.env.CHROMIUM, ...PLACES].find((place) => place && existsSync(place));
  return chromium.launch({ executablePath: own ?? (await packed()), args: ["--no-sandbox"] });
}

// Without the libraries of a desktop the package's own ones are unpacked, as it does on Lambda.
async function packed() {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error("No Chromium was found on this machine: install one, or name it with CHROMIUM=/path/to/chromium");
  }
  const known = execFileSync("/sbin/ldconfig", ["-p"], { encoding: "utf8" });
  if (!known.includes("libnss3.so")) process.env.AWS_EXECUTION_ENV = "AWS_Lambda_nodejs20.x";
  const { default: packaged } = await import("@sparticuz/chromium");
  return packaged.executablePath();
}
