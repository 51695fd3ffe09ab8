import { useMutation, useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useRouter, useSearch } from '@tanstack/react-router'
import { useCallback, useEffect, useState } from 'react'
import { api } from '@/api/client'
import { asProblem, Problem } from '@/api/problem'
import { session, takeRefusal } from '@/api/session'
import { safeReturnPath } from '@/app/return-path'
import { Button } from '@/ui/button'
import { CodeField } from '@/ui/code-field'
import { Field, Input } from '@/ui/field'
import { ErrorNotice } from '@/ui/pieces'
import { Entrance } from './entrance'

/** Lets somebody in, with a password, by a provider or with a token, and goes where one wanted to go. */
export function LoginScreen() {
  const [withToken, setWithToken] = useState(false)
  const { to, oidc } = useSearch({ from: '/login' })
  const navigate = useNavigate()
  const router = useRouter()
  const enter = useCallback(async () => {
    const back = safeReturnPath(to)
    if (back === '/projects') await navigate({ to: '/projects', replace: true })
    else router.history.replace(back)
  }, [to, navigate, router])
  // The provider sent the browser back, and the server has set the session's cookie.
  useEffect(() => {
    if (oidc !== 'done') return
    session.beginWithCookie()
    enter()
  }, [oidc, enter])
  if (oidc === 'done') return null
  if (oidc === 'code') {
    return (
      <Entrance title="Sign in to Holdfast" about="Your account has an authenticator.">
        <CodeForm onEntered={enter} />
        <Button variant="ghost" size="sm" className="mt-3 w-full" asChild>
          <Link to="/login" search={to === undefined ? {} : { to }}>
            Sign in otherwise
          </Link>
        </Button>
      </Entrance>
    )
  }
  return (
    <Entrance
      title="Sign in to Holdfast"
      about={
        to === undefined ? undefined : 'Your session has ended, or has not begun. You come back to where you were.'
      }
    >
      {oidc === 'refused' && <Refusal />}
      {withToken ? <TokenForm onEntered={enter} /> : <PasswordForm onEntered={enter} />}
      {!withToken && <ProviderButton to={to} />}
      <Button variant="ghost" size="sm" className="mt-3 w-full" onClick={() => setWithToken(!withToken)}>
        {withToken ? 'Use a password' : 'Use a token'}
      </Button>
    </Entrance>
  )
}

/** Leads to the provider, where there is one. */
function ProviderButton({ to }: { to?: string }) {
  const methods = useQuery({ queryKey: ['login-methods'], queryFn: ({ signal }) => api.loginMethods(signal) }).data
  if (!methods?.oidc) return null
  return (
    <Button size="lg" className="mt-3 w-full" asChild>
      <a href={`/api/v1/login/oidc${to === undefined ? '' : `?to=${encodeURIComponent(to)}`}`}>
        Sign in with {methods.oidc}
      </a>
    </Button>
  )
}

/** Why the provider's word did not help, as the server said it in a cookie of a minute. */
function Refusal() {
  const [problem] = useState(() => {
    const [detail = '', hint = ''] = takeRefusal().split('\n')
    return new Problem({ code: 'unauthenticated', detail: detail || 'you were not signed in', hint })
  })
  return <ErrorNotice error={problem} className="mb-4" />
}

/** Asks for the second factor of somebody who comes back from the provider. */
function CodeForm({ onEntered }: { onEntered: () => Promise<void> }) {
  const [code, setCode] = useState('')
  const give = useMutation({
    mutationFn: () => api.loginCode(code.trim()),
    onSuccess: async () => {
      session.beginWithCookie()
      await onEntered()
    },
  })
  return (
    <form
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault()
        if (code.trim().length >= 6) give.mutate()
      }}
    >
      <CodeField value={code} onChange={setCode} recovery />
      {give.error && <ErrorNotice error={give.error} />}
      <Button type="submit" variant="primary" size="lg" busy={give.isPending} disabled={code.trim().length < 6}>
        Sign in
      </Button>
    </form>
  )
}

function PasswordForm({ onEntered }: { onEntered: () => Promise<void> }) {
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  const [code, setCode] = useState('')
  const signIn = useMutation({
    mutationFn: () => api.login(name.trim(), password, code.trim()),
    onSuccess: async () => {
      session.beginWithCookie()
      await onEntered()
    },
  })
  // The password was right, and the account has an authenticator.
  const [wantsCode, setWantsCode] = useState(false)
  const asked = signIn.error !== null && asProblem(signIn.error).code === 'precondition'
  if (asked && !wantsCode) setWantsCode(true)
  return (
    <form
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault()
        if (name.trim() !== '' && password !== '') signIn.mutate()
      }}
    >
      <Field label="Name">
        {(ids) => (
          <Input
            {...ids}
            autoFocus
            required
            autoComplete="username"
            maxLength={100}
            value={name}
            onChange={(e) => setName(e.target.value)}
            className="h-10"
          />
        )}
      </Field>
      <Field label="Password">
        {(ids) => (
          <Input
            {...ids}
            required
            type="password"
            autoComplete="current-password"
            maxLength={256}
            value={password}
            onChange={(e) => setPassword(e.target.value)}
            className="h-10"
          />
        )}
      </Field>
      {wantsCode && <CodeField value={code} onChange={setCode} recovery />}
      {signIn.error && !asked && <ErrorNotice error={signIn.error} />}
      <Button
        type="submit"
        variant="primary"
        size="lg"
        busy={signIn.isPending}
        disabled={name.trim() === '' || password === ''}
      >
        Sign in
      </Button>
    </form>
  )
}

/** Takes a token and tries it before it is kept. */
function TokenForm({ onEntered }: { onEntered: () => Promise<void> }) {
  const [token, setToken] = useState('')
  const signIn = useMutation({
    mutationFn: (secret: string) => api.serverAs(secret),
    onSuccess: async (_, secret) => {
      session.begin(secret)
      await onEntered()
    },
  })
  return (
    <form
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault()
        const secret = token.trim()
        if (secret !== '') signIn.mutate(secret)
      }}
    >
      <Field
        label="Token"
        hint={
          <>
            The first admin’s lies in <code>admin.token</code> in the data directory; <code>holdfast token create</code>{' '}
            makes others.
          </>
        }
      >
        {(ids) => (
          <Input
            {...ids}
            autoFocus
            required
            type="password"
            autoComplete="off"
            maxLength={512}
            value={token}
            onChange={(e) => setToken(e.target.value)}
            className="h-10 font-mono"
          />
        )}
      </Field>
      {signIn.error && <ErrorNotice error={signIn.error} />}
      <Button type="submit" variant="primary" size="lg" busy={signIn.isPending} disabled={token.trim() === ''}>
        Sign in
      </Button>
    </form>
  )
}
