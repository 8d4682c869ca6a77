"""Documents that show people and emails that failed."""

SHOW = """query($id:ID!){person(id:$id){
    name firstName address title company phone owner{name} shared unsubscribed groups{id name}}}"""

FAILURES = "{emails(first:200){nodes{subject folder failure{code}}}}"
