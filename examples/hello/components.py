from stepflow.worker import StepflowServer

server = StepflowServer()


@server.component
def greet(input: dict[str, str]) -> dict[str, str]:
    return {"greeting": f"Hello, {input['name']}!"}
