// Runs one scenario in a real browser: `node browser.mjs NAME`. What the scenario needs to know, secrets too, comes as JSON on
// standard input; what it found out goes as JSON to standard output. It fails when the scenario does, and also when the page
// wrote an error to the browser's console, broke its content security policy or asked another host for something.
import { createRequire } from 'node:module'
import { text } from 'node:stream/consumers'

const { tools, chromium, ...known } = JSON.parse(await text(process.stdin))
const playwright = createRequire(`${tools}/`)('playwright-core')

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const complaints = []
const browser = await playwright.chromium.launch({ executablePath: chromium, args: flags })

/** Opens a page of its own: signed in with token unless that is null. Refusals with the statuses in expected are part of the scenario. */
async function open({ token = known.token, phone = false, dark = false, expected = [] } = {}) {
  const context = await browser.newContext({
    baseURL: known.base,
    viewport: phone ? { width: 390, height: 844 } : { width: 1280, height: 800 },
    colorScheme: dark ? 'dark' : 'light',
    permissions: ['clipboard-read', 'clipboard-write'],
  })
  context.setDefaultTimeout(30_000)
  const page = await context.newPage()
  page.on('pageerror', (error) => complaints.push(`error in the page: ${error.message}`))
  page.on('console', (message) => {
    if (message.type() !== 'error') return
    const status = /status of (\d+)/.exec(message.text())
    if (status && expected.includes(Number(status[1]))) return
    if (expected.includes('offline') && /ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_REFUSED/.test(message.text())) return
    complaints.push(`console: ${message.text()} ${message.location().url}`)
  })
  page.on('request', (request) => {
    const url = new URL(request.url())
    if (url.origin !== new URL(known.base).origin && url.protocol !== 'data:') complaints.push(`asked for ${url.origin}`)
    if (/hf_(admin|user|agent|setup)_/.test(request.url())) complaints.push('a token stands in an address')
  })
  if (token !== null) {
    await page.addInitScript((secret) => {
      if (sessionStorage.getItem('tested') === null) sessionStorage.setItem('holdfast.token', secret)
      sessionStorage.setItem('tested', 'yes')
    }, token)
  }
  return page
}

export class Failure extends Error {}

/** Fails the scenario, saying what, unless the claim holds. */
function check(claim, what) {
  if (!claim) throw new Failure(what)
}

/** Polls until the claim holds: the other side is a server. */
async function until(what, claim) {
  const end = Date.now() + 60_000
  while (Date.now() < end) {
    const value = await claim()
    if (value) return value
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Failure(`gave up waiting: ${what}`)
}

const clipboard = (page) => page.evaluate(() => navigator.clipboard.readText())

let failed = null
let found = {}
let allowed
try {
  const scenario = await import(`./scenarios/${process.argv[2]}.mjs`)
  allowed = scenario.expectedComplaint
  found = (await scenario.default({ ...known, open, check, until, clipboard })) ?? {}
} catch (error) {
  failed = error
  for (const context of browser.contexts()) {
    for (const page of context.pages()) {
      // What a person would have seen says more than the stack; secrets are only shown on request.
      const shown = await page.locator('body').innerText().catch(() => '')
      process.stderr.write(`at ${page.url()} the page said:\n${shown.slice(0, 2000)}\n\n`)
      if (known.shots) await page.screenshot({ path: `${known.shots}/failed-${process.argv[2]}.png` }).catch(() => {})
    }
  }
}
await browser.close()
if (failed) process.stderr.write(`${failed instanceof Failure ? failed.message : failed.stack}\n`)
const left = new Set(complaints.filter((complaint) => !allowed?.test(complaint)))
for (const complaint of left) process.stderr.write(`${complaint}\n`)
process.stdout.write(JSON.stringify(found))
process.exitCode = failed || left.size > 0 ? 1 : 0
