//! What comes of messages that an application sends one after the other.

use ferricorn_protocol::Request;

use super::run;

/// What comes of sending these in a call of the request, where `words` are defined: `sent`, or the error.
pub(super) fn outcomes(request: Request, words: &str, messages: &[&str]) -> Vec<String> {
    let code = format!(
        "{words}
async def app(scope, receive, send):
    await receive()
    for message in [{}]:
        try:
            await send(message)
        except Exception as error:
            say(f'{{type(error).__name__}}: {{error}}')
        else:
            say('sent')
",
        messages.join(", ")
    );
    let ended = run(&code, |site| async move {
        let answer = site.answer(request);
        site.settle().await;
        drop(answer);
    });
    let bare = |word: &String| word[1..word.len() - 1].replace("\\'", "'");
    let outcomes: Vec<_> = ended.unheard().iter().map(bare).collect();
    assert_eq!(outcomes.len(), messages.len());
    outcomes
}

/// Insists that all were sent but the last, of this name, which came out of order.
pub(super) fn assert_last_untimely(outcomes: &[String], name: &str, why: &str) {
    let (last, before) = outcomes.split_last().unwrap();
    assert_eq!(*last, format!("RuntimeError: {name} was sent out of order: {why}"));
    assert!(before.iter().all(|outcome| outcome == "sent"), "{outcomes:?}");
}
