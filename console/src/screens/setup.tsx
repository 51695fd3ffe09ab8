import { useMutation } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { api } from '@/api/client'
import { session, takeSetupSecret } from '@/api/session'
import { Button } from '@/ui/button'
import { Field, Input } from '@/ui/field'
import { ErrorNotice } from '@/ui/pieces'
import { Entrance } from './entrance'

/** Where the link of the first start leads: whoever holds it becomes the first admin. */
export function SetupScreen() {
  return <LinkScreen about="Development and production PostgreSQL, side by side. You are the first admin." />
}

/** Where an invitation leads, and a link for a new password. */
export function JoinScreen() {
  return (
    <LinkScreen
      about="Choose how you sign in. If this link is for a new password, leave the name as it is: it stays yours."
      nameOptional
    />
  )
}

function LinkScreen({ about, nameOptional = false }: { about: string; nameOptional?: boolean }) {
  const [secret] = useState(takeSetupSecret)
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  const navigate = useNavigate()
  const join = useMutation({
    mutationFn: () => api.join(secret ?? '', name.trim(), password),
    onSuccess: async () => {
      session.beginWithCookie()
      await navigate({ to: '/projects', replace: true })
    },
  })
  if (secret === null) {
    return (
      <Entrance
        title="This link is not complete"
        about="The part after the # is missing. Copy the whole link; that of the first start stands in the terminal in which Holdfast was started."
      >
        <Button asChild className="w-full">
          <Link to="/login">Sign in instead</Link>
        </Button>
      </Entrance>
    )
  }
  const complete = password.length >= 10 && (nameOptional || name.trim() !== '')
  return (
    <Entrance title="Welcome to Holdfast" about={about}>
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault()
          if (complete) join.mutate()
        }}
      >
        <Field label="Your name" hint="What you sign in with: a short name or an e-mail address, without spaces.">
          {(ids) => (
            <Input
              {...ids}
              autoFocus
              required={!nameOptional}
              autoComplete="username"
              maxLength={100}
              value={name}
              onChange={(e) => setName(e.target.value)}
              placeholder="ada"
              className="h-10 text-base"
            />
          )}
        </Field>
        <Field label="Password" hint="At least 10 characters.">
          {(ids) => (
            <Input
              {...ids}
              required
              type="password"
              autoComplete="new-password"
              minLength={10}
              maxLength={256}
              value={password}
              onChange={(e) => setPassword(e.target.value)}
              className="h-10 text-base"
            />
          )}
        </Field>
        {join.error && (
          <ErrorNotice error={join.error}>
            <Button size="sm" asChild>
              <Link to="/login">Sign in</Link>
            </Button>
          </ErrorNotice>
        )}
        <Button type="submit" variant="primary" size="lg" busy={join.isPending} disabled={!complete}>
          Continue
        </Button>
      </form>
    </Entrance>
  )
}
