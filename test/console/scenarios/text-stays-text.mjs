// Whatever people put into names and values is shown as the text that it is.
const evil = `<img src=x onerror="window.pwned=1"><script>window.pwned=2</script>`

export default async function ({ open, check }) {
  const page = await open({ expected: [404, 409, 422] })
  await page.goto('/tokens')
  await page.getByRole('button', { name: 'New token' }).click()
  await page.getByLabel('Name', { exact: true }).fill(evil.slice(0, 100))
  await page.getByRole('button', { name: 'Create token' }).click()
  const secret = await page.getByTestId('secret').innerText()
  check(secret.trim().startsWith('hf_user_'), 'the secret is not shown')
  await page.getByRole('button', { name: 'I have copied it' }).click()
  await page.getByRole('cell', { name: evil, exact: true }).waitFor()
  check(!(await page.content()).includes(secret.trim()), 'the secret is still in the page')
  await page.goto('/activity')
  await page.getByRole('cell', { name: evil, exact: true }).first().waitFor()

  await page.goto('/projects/shop/branches/development/settings')
  await page.getByRole('textbox', { name: 'log_statement', exact: true }).fill(evil)
  await page.getByRole('button', { name: 'Save one change' }).click()
  await page.getByRole('alert').first().waitFor()
  await page.goto(`/projects/${encodeURIComponent(evil.slice(0, 20))}`)
  await page.getByRole('alert').first().waitFor()
  await page.goto(`/jobs/${encodeURIComponent('<script>window.pwned=3</script>')}`)
  await page.getByRole('alert').first().waitFor()
  check((await page.evaluate(() => window.pwned)) === undefined, 'a name was run')

  // The policy itself refuses a script that came in by another way.
  const refused = await page.evaluate(
    () =>
      new Promise((resolve) => {
        document.addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective), { once: true })
        const script = document.createElement('script')
        script.textContent = 'window.pwned = 4'
        document.body.append(script)
        setTimeout(() => resolve('nothing'), 2000)
      }),
  ).catch((error) => String(error))
  check(refused.startsWith('script-src'), `an inline script was met with: ${refused}`)
  check((await page.evaluate(() => window.pwned)) === undefined, 'an inline script was run')
}

/** The refused script above writes this to the console, as it should. */
export const expectedComplaint = /Executing inline script violates|Refused to execute inline script/
