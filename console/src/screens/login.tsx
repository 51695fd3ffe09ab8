import { useMutation } from '@tanstack/react-query'
import { useNavigate, useRouter, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { api } from '@/api/client'
import { session } from '@/api/session'
import { safeReturnPath } from '@/app/return-path'
import { Button } from '@/ui/button'
import { Field, Input } from '@/ui/field'
import { ErrorNotice } from '@/ui/pieces'
import { Entrance } from './entrance'

/** Takes a token, tries it, and goes where one wanted to go. */
export function LoginScreen() {
  const [token, setToken] = useState('')
  const { to } = useSearch({ from: '/login' })
  const navigate = useNavigate()
  const router = useRouter()
  const signIn = useMutation({
    mutationFn: (secret: string) => api.serverAs(secret),
    onSuccess: async (_, secret) => {
      session.begin(secret)
      const back = safeReturnPath(to)
      if (back === '/projects') await navigate({ to: '/projects', replace: true })
      else router.history.replace(back)
    },
  })
  return (
    <Entrance
      title="Sign in to Holdfast"
      about={
        to === undefined
          ? 'With a token of this server.'
          : 'Your session has ended, or has not begun. You come back to where you were.'
      }
    >
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
              The first admin’s lies in <code>admin.token</code> in the data directory;{' '}
              <code>holdfast token create</code> makes others.
            </>
          }
        >
          {(ids) => (
            <Input
              {...ids}
              autoFocus
              required
              type="password"
              autoComplete="current-password"
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
    </Entrance>
  )
}
