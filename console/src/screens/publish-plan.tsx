import { useMutation } from '@tanstack/react-query'
import { CircleHelp, GitMerge } from 'lucide-react'
import { useState } from 'react'
import { type PlanDrift, type PlanQuestion, type Publish, type PublishPlan, publishes, replan } from '@/api/publish'
import type { Job } from '@/api/types'
import { answerText, type Step, transactionsOf } from '@/lib/publish'
import { Button } from '@/ui/button'
import { CopyButton } from '@/ui/copy'
import { Input } from '@/ui/field'
import { Badge, Empty, ErrorNotice, Panel, PanelHead, Prose } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { Hazard, SQL } from './publish-pieces'

/** What a publish does to production, statement by statement; what commits together stands together. */
export function Statements({ plan }: { plan: PublishPlan }) {
  const [open, setOpen] = useState(true)
  if (plan.statements.length === 0)
    return (
      <Panel>
        <Empty icon={GitMerge} title="Nothing to do">
          Production has development’s structure already.
        </Empty>
      </Panel>
    )
  return (
    <Panel>
      <PanelHead
        title={`${plan.statements.length} ${plan.statements.length === 1 ? 'statement' : 'statements'}`}
        about="In the order in which they run on production. Each box commits as a whole."
      >
        <Button size="sm" variant="ghost" aria-pressed={open} onClick={() => setOpen(!open)}>
          {open ? 'Hide the SQL' : 'Show the SQL'}
        </Button>
        <CopyButton text={plan.statements.map((s) => `${s.sql};`).join('\n')} label="Copy all statements">
          Copy
        </CopyButton>
      </PanelHead>
      <ol aria-label="Statements" className="flex flex-col gap-3 p-4">
        {transactionsOf(plan.statements).map((t) => (
          <li key={t.steps[0]?.number} className="overflow-hidden rounded-lg border border-line">
            <p className="border-line border-b bg-sunken/60 px-3 py-1 text-faint text-xs">
              {t.together
                ? t.steps.length === 1
                  ? 'One transaction'
                  : `One transaction of ${t.steps.length} statements`
                : 'Commits by itself; it cannot be part of a transaction'}
            </p>
            <ol className="divide-y divide-line">
              {t.steps.map((step) => (
                <Statement key={step.number} step={step} open={open} />
              ))}
            </ol>
          </li>
        ))}
      </ol>
    </Panel>
  )
}

function Statement({ step: { number, statement: s }, open }: { step: Step; open: boolean }) {
  const tables = s.tables ?? []
  return (
    <li className="px-3 py-2.5" value={number}>
      <div className="flex flex-wrap items-baseline gap-x-3 gap-y-1">
        <span className="w-6 text-right text-faint text-xs">{number}</span>
        <span className="min-w-0 flex-1 font-medium">{s.description}</span>
        {s.lock && (
          <span className="text-muted text-xs">
            <code>{s.lock}</code>
            {tables.length > 0 && ` on ${tables[0]}${tables.length > 1 ? ` and ${tables.length - 1} more` : ''}`}
          </span>
        )}
        <Hazard of={s.class} />
      </div>
      <div className="pl-9">
        {s.hazards
          ?.filter((h) => h.class !== 'safe')
          .map((h) => (
            <p key={h.class + h.text} className="mt-1 text-muted text-xs">
              <span className="font-medium text-text">{h.class}:</span> <Prose>{h.text}</Prose>
            </p>
          ))}
        {open && <SQL sql={s.sql} className="mt-2 rounded-md bg-sunken px-3 py-2" />}
      </div>
    </li>
  )
}

type AnswerProps = { publish: Publish; may: boolean; onPlanned: (p: Publish) => void }

function useAnswer({ publish, onPlanned }: AnswerProps) {
  return useMutation({ mutationFn: (answers: string[]) => replan(publish, answers), onSuccess: onPlanned })
}

/** What only a person can know: each question with the answers that fit, and room for another. */
export function Questions(props: AnswerProps & { questions: PlanQuestion[] }) {
  const { questions, may } = props
  const [chosen, setChosen] = useState<Record<string, string>>({})
  const answer = useAnswer(props)
  const given = questions.map((q) => chosen[q.id]).filter((a): a is string => a !== undefined && a !== '')
  return (
    <Panel className="border-warn/50">
      <PanelHead
        title={questions.length === 1 ? 'One question' : `${questions.length} questions`}
        about="Only a person can know this. The answers are kept with the publish."
      >
        {may && (
          <Button
            variant="primary"
            busy={answer.isPending}
            disabled={given.length === 0}
            onClick={() => answer.mutate(given)}
          >
            {given.length > 1 ? `Give ${given.length} answers` : 'Give the answer'}
          </Button>
        )}
      </PanelHead>
      <div className="flex flex-col gap-5 p-4">
        {answer.error && <ErrorNotice error={answer.error} />}
        {questions.map((q) => (
          <fieldset key={q.id} disabled={!may}>
            <legend className="flex items-start gap-2 font-medium text-sm">
              <CircleHelp className="mt-0.5 size-4 shrink-0 text-warn" aria-hidden />
              <Prose>{q.text}</Prose>
            </legend>
            <div className="mt-2 flex flex-col gap-1.5 pl-6">
              {q.answers.map((a) => (
                <label key={a} className="flex items-baseline gap-2 text-sm">
                  <input
                    type="radio"
                    name={`question-${q.id}`}
                    className="accent-accent-solid"
                    checked={chosen[q.id] === a}
                    onChange={() => setChosen({ ...chosen, [q.id]: a })}
                  />
                  {answerText(a)} <code className="text-faint text-xs">{a}</code>
                </label>
              ))}
            </div>
          </fieldset>
        ))}
        {!may && <p className="text-muted text-xs">A developer of the project can answer.</p>}
      </div>
    </Panel>
  )
}

/** Answers that nothing asks for by name: how values are converted, what rows without a value get. */
export function OtherAnswer(props: AnswerProps) {
  const [text, setText] = useState('')
  const answer = useAnswer({
    ...props,
    onPlanned: (p) => {
      setText('')
      props.onPlanned(p)
    },
  })
  const given = props.publish.answers ?? []
  return (
    <Panel>
      <PanelHead
        title="Answers"
        about="To answer a question otherwise than before, give this publish up and plan another."
      />
      <div className="flex flex-col gap-3 p-4">
        {given.length > 0 && (
          <ul className="flex flex-col gap-1 text-sm">
            {given.map((a) => (
              <li key={a}>
                {answerText(a)} <code className="text-faint text-xs">{a}</code>
              </li>
            ))}
          </ul>
        )}
        {props.may && (
          <form
            className="flex flex-wrap gap-2"
            onSubmit={(e) => {
              e.preventDefault()
              if (text.trim() !== '') answer.mutate([text.trim()])
            }}
          >
            <Input
              aria-label="Another answer"
              placeholder="fill:TABLE.COLUMN=EXPRESSION or using:TABLE.COLUMN=EXPRESSION"
              className="min-w-60 flex-1 font-mono"
              value={text}
              onChange={(e) => setText(e.target.value)}
            />
            <Button type="submit" busy={answer.isPending} disabled={text.trim() === ''}>
              Plan with it
            </Button>
          </form>
        )}
        {answer.error && <ErrorNotice error={answer.error} />}
      </div>
    </Panel>
  )
}

/** How production differs from what was published last, and what may become of that. */
export function Drift(props: AnswerProps & { drift: PlanDrift[]; onAdopting: (job: Job) => void }) {
  const { publish, drift, may, onAdopting } = props
  const adopt = useMutation({
    mutationFn: (objects: string[]) => publishes.adopt(publish.project, objects),
    onSuccess: onAdopting,
  })
  const drop = useAnswer(props)
  const error = adopt.error ?? drop.error
  return (
    <Panel>
      <PanelHead
        title="Drift"
        about="Production has changed by itself since the last publish. It is kept unless you say so."
      >
        {may && (
          <Button busy={adopt.isPending} onClick={() => adopt.mutate([])}>
            Take all of it into development
          </Button>
        )}
      </PanelHead>
      {error && <ErrorNotice error={error} className="m-3" />}
      <Table>
        <thead>
          <tr>
            <Th>Object</Th>
            <Th>What happened</Th>
            <Th>
              <span className="sr-only">What to do</span>
            </Th>
          </tr>
        </thead>
        <tbody>
          {drift.map((d) => (
            <Tr key={d.object + d.kind}>
              <Td>
                <code className="text-xs">{d.object}</code>
                <Badge className="ml-2">{d.kind}</Badge>
              </Td>
              <Td className="text-muted">
                <Prose>{d.text}</Prose>
              </Td>
              <Td>
                {may && (
                  <div className="flex justify-end gap-1">
                    <Button
                      size="sm"
                      aria-label={`Adopt ${d.object}`}
                      busy={adopt.isPending}
                      onClick={() => adopt.mutate([d.object])}
                    >
                      Adopt
                    </Button>
                    {d.drop && (
                      <Button
                        size="sm"
                        variant="ghost"
                        aria-label={`Drop ${d.object}`}
                        busy={drop.isPending}
                        onClick={() => drop.mutate([d.drop ?? ''])}
                      >
                        Drop
                      </Button>
                    )}
                  </div>
                )}
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Panel>
  )
}
