import { useMutation } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { api } from '@/api/client'
import { session, takeSetupSecret } from '@/api/session'
import { Button } from '@/ui/button'
import { Field, Input } from '@/ui/field'
import { ErrorNotice } from '@/ui/pieces'
import { Entrance } from './entrance'

/** Where the link of the first start leads: whoever holds it names themself and becomes the first admin. */
export function SetupScreen() {
  const [secret] = useState(takeSetupSecret)
  const [name, setName] = useState('')
  const navigate = useNavigate()
  const redeem = useMutation({
    mutationFn: () => api.redeemSetup(secret ?? '', name.trim()),
    onSuccess: async (made) => {
      session.begin(made.secret)
      await navigate({ to: '/projects', replace: true })
    },
  })
  if (secret === null) {
    return (
      <Entrance
        title="This link is not complete"
        about="The part after the # is missing. Copy the whole set-up link from the terminal in which Holdfast was started."
      >
        <Button asChild className="w-full">
          <Link to="/login">Sign in with a token instead</Link>
        </Button>
      </Entrance>
    )
  }
  return (
    <Entrance title="Welcome to Holdfast" about="Development and production PostgreSQL, side by side.">
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault()
          if (name.trim() !== '') redeem.mutate()
        }}
      >
        <Field label="Your name" hint="Shown in the activity log beside what you do.">
          {(ids) => (
            <Input
              {...ids}
              autoFocus
              required
              maxLength={100}
              value={name}
              onChange={(e) => setName(e.target.value)}
              placeholder="Ada Lovelace"
              className="h-10 text-base"
            />
          )}
        </Field>
        {redeem.error && (
          <ErrorNotice error={redeem.error}>
            <Button size="sm" asChild>
              <Link to="/login">Sign in with a token</Link>
            </Button>
          </ErrorNotice>
        )}
        <Button type="submit" variant="primary" size="lg" busy={redeem.isPending} disabled={name.trim() === ''}>
          Continue
        </Button>
      </form>
    </Entrance>
  )
}
