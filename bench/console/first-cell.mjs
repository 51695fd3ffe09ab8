// Measures, in milliseconds, how long the first cell of a table takes. What it has to know comes as JSON on standard input; for each line
// "go" that follows it does one round and writes one line of JSON.
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const known = JSON.parse((await lines.next()).value)
const playwright = createRequire(`${known.tools}/`)('playwright-core')
const browser = await playwright.chromium.launch({ executablePath: known.chromium, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'] })

async function round() {
  const context = await browser.newContext({ baseURL: known.base, viewport: { width: 1280, height: 800 } })
  context.setDefaultTimeout(120_000)
  const page = await context.newPage()
  await page.addInitScript((token) => sessionStorage.setItem('holdfast.token', token), known.token)
  const cell = page.getByRole('gridcell', { name: known.cell, exact: true })
  let begun = performance.now()
  await page.goto(`${known.path}?table=${encodeURIComponent('"public"."big"')}`)
  await cell.waitFor()
  const cold = performance.now() - begun
  const choose = async (name) => {
    await page.getByRole('combobox', { name: 'Table' }).click()
    const option = page.getByRole('option', { name, exact: true })
    await option.waitFor()
    begun = performance.now()
    await option.click()
  }
  await choose('small')
  await page.getByRole('gridcell', { name: 'small', exact: true }).waitFor()
  await page.reload()
  await page.getByRole('gridcell', { name: 'small', exact: true }).waitFor()
  await choose('big')
  await cell.waitFor()
  const warm = performance.now() - begun
  await context.close()
  return { cold, warm }
}

for await (const line of lines) {
  if (line !== 'go') break
  process.stdout.write(`${JSON.stringify(await round())}\n`)
}
await browser.close()
