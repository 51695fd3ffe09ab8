// The one-time link, a name, a project with sample data, and the connection string on the clipboard; with a reload where it hurts.
export default async function ({ link, open, check, clipboard }) {
  const began = Date.now()
  const page = await open({ token: null })
  await page.goto(link)
  await page.getByLabel('Your name').waitFor()
  check(new URL(page.url()).hash === '', 'the secret stays in the address')
  await page.reload() // before it is redeemed
  await page.getByLabel('Your name').fill('ada')
  await page.getByLabel('Password').fill('a long password')
  await page.getByRole('button', { name: 'Continue' }).click()

  await page.getByRole('heading', { name: 'Create your first project' }).waitFor()
  await page.getByLabel('Name', { exact: true }).fill('Shop!')
  await page.getByText('Only lower-case letters, digits and dashes.').waitFor()
  check(await page.getByRole('button', { name: 'Create project' }).isDisabled(), 'a name that is no good can be sent')
  await page.getByLabel('Name', { exact: true }).fill('shop')
  await page.getByRole('button', { name: 'Create project' }).click()
  await page.getByRole('progressbar').waitFor()
  await page.reload() // in the middle of the job
  await page.getByText('shop is ready').waitFor()
  await page.getByRole('button', { name: 'Copy the connection string' }).click()
  await page.getByText('Copied', { exact: true }).first().waitFor()
  const url = await clipboard(page)
  const took = Date.now() - began
  check(!(await page.content()).includes(new URL(url).password), 'the password is in the page without being asked for')

  // The link is good for once.
  const second = await open({ token: null, expected: [401] })
  await second.goto(link)
  await second.getByLabel('Your name').fill('mallory')
  await second.getByLabel('Password').fill('a long password')
  await second.getByRole('button', { name: 'Continue' }).click()
  await second.getByRole('alert').getByText('used already').waitFor()
  await second.getByRole('link', { name: 'Sign in' }).waitFor()

  // The session lies in a cookie that scripts cannot read, and holds in another tab, until somebody signs out.
  const cookies = await page.context().cookies()
  const session = cookies.find((c) => c.name.startsWith('holdfast_session'))
  check(session?.httpOnly === true && session.sameSite === 'Strict', `the session's cookie is ${JSON.stringify(session)}`)
  check(!(await page.evaluate(() => document.cookie)).includes('holdfast'), 'a script can read a cookie')
  check(!(await page.evaluate(() => JSON.stringify([localStorage, sessionStorage]))).includes('hf_'), 'a secret is kept where scripts can read it')
  const tab = await page.context().newPage()
  await tab.goto(new URL('/projects', page.url()).href)
  await tab.getByRole('link', { name: 'shop' }).first().waitFor()
  await tab.close()

  await page.getByRole('link', { name: 'Open shop' }).click()
  await page.getByRole('heading', { name: /^development$/i }).waitFor()
  await page.getByRole('heading', { name: /^production$/i }).waitFor()
  return { url, took }
}
